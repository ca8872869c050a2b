from django.urls import path

from inference.playground import pages
from inference.playground.calls import call

_ROOT = "t/<slug:slug>/playground"
urlpatterns = [
    path(f"{_ROOT}/", pages.chat, name="playground"),
    path(f"{_ROOT}/images/", pages.images, name="playground_images"),
    path(f"{_ROOT}/speech/", pages.speech, name="playground_speech"),
    path(f"{_ROOT}/transcription/", pages.transcription, name="playground_transcription"),
    path(f"{_ROOT}/embeddings/", pages.embeddings, name="playground_embeddings"),
    path(f"{_ROOT}/v1/<path:endpoint>", call, name="playground_call"),
]
