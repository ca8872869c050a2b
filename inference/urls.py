from django.urls import path

from billing.account.records import UsageExportView, UsageRecordListView, UsageRecordView
from billing.account.views import BalanceView, HoldListView, UsageView
from billing.keys.views import KeyListView, KeyRotationView, KeyView
from inference.audio.speech.views import SpeechView
from inference.audio.transcripts.views import AudioTranslationsView, TranscriptionsView
from inference.catalog.views import ModelListView, ModelView
from inference.chat.views import ChatCompletionsView
from inference.classifications.views import ClassificationsView
from inference.completions.views import CompletionsView
from inference.embeddings.views import EmbeddingsView
from inference.images.views import (
    ImageClassificationsView,
    ImageEditsView,
    ImageGenerationsView,
    StoredImageView,
)
from inference.messages.views import CountTokensView, MessagesView
from inference.moderations.views import ModerationsView
from inference.reference.views import OpenApiView
from inference.rerank.views import RerankView
from inference.run.views import RunView
from inference.summaries.views import SummariesView
from inference.translations.views import TranslationsView

urlpatterns = [
    path("chat/completions", ChatCompletionsView.as_view()),
    path("completions", CompletionsView.as_view()),
    path("embeddings", EmbeddingsView.as_view()),
    path("moderations", ModerationsView.as_view()),
    path("rerank", RerankView.as_view()),
    path("translations", TranslationsView.as_view()),
    path("summaries", SummariesView.as_view()),
    path("classifications", ClassificationsView.as_view()),
    path("images/generations", ImageGenerationsView.as_view()),
    path("images/edits", ImageEditsView.as_view()),
    path("images/classifications", ImageClassificationsView.as_view()),
    path("images/files/<str:token>", StoredImageView.as_view()),
    path("audio/transcriptions", TranscriptionsView.as_view()),
    path("audio/translations", AudioTranslationsView.as_view()),
    path("audio/speech", SpeechView.as_view()),
    path("messages", MessagesView.as_view()),
    path("messages/count_tokens", CountTokensView.as_view()),
    path("run/<path:name>", RunView.as_view()),
    path("keys", KeyListView.as_view()),
    path("keys/<str:key_id>", KeyView.as_view()),
    path("keys/<str:key_id>/rotate", KeyRotationView.as_view()),
    path("balance", BalanceView.as_view()),
    path("holds", HoldListView.as_view()),
    path("usage", UsageView.as_view()),
    path("usage/records", UsageRecordListView.as_view()),
    path("usage/records/<str:request_id>", UsageRecordView.as_view()),
    path("usage/export", UsageExportView.as_view()),
    path("openapi.json", OpenApiView.as_view()),
    path("models", ModelListView.as_view()),
    path("models/<path:name>", ModelView.as_view()),
]
