"""POST /v1/audio/transcriptions and /v1/audio/translations, as in OpenAI's API reference."""

from django.http import HttpResponse
from rest_framework.request import Request

from agentflare.api import JsonResponse
from agentflare.multipart import read_multipart
from inference.audio.transcripts import formats
from inference.audio.transcripts.files import the_sound
from inference.audio.transcripts.languages import language_code
from inference.audio.transcripts.listeners import TRANSCRIBE, TRANSLATE, Wish
from inference.audio.transcripts.params import TranscriptionParams, TranslationParams
from inference.audio.transcripts.task import TranscriptTask
from inference.audio.transcripts.transcript import Transcript
from inference.idempotency.views import InferenceView
from inference.task_usage import money_fields
from inference.tasks import Done, run_task
from inference.views import call_of

TRANSCRIPTIONS, TRANSLATIONS = "audio/transcriptions", "audio/translations"
_TEXTS = {"text": formats.as_text, "srt": formats.as_srt, "vtt": formats.as_vtt}


class TranscriptionsView(InferenceView):
    def post(self, request: Request) -> HttpResponse:
        params, files = read_multipart(request, TranscriptionParams)
        params.check()
        sound = the_sound(files["file"])
        wish = Wish(
            language=language_code(params.language) if params.language else "",
            prompt=params.prompt or "",
            server_vad=params.server_vad,
        )
        call = call_of(
            request, endpoint=TRANSCRIPTIONS, model=params.model, is_stream=bool(params.stream)
        )
        done = run_task(call, TranscriptTask(sound, wish, endpoint=TRANSCRIPTIONS))
        if params.stream:
            return _stream(done)
        return _whole(
            done,
            params.response_format,
            task=TRANSCRIBE,
            segments=params.wants_segments,
            words=params.wants_words,
        )


class AudioTranslationsView(InferenceView):
    def post(self, request: Request) -> HttpResponse:
        params, files = read_multipart(request, TranslationParams)
        sound = the_sound(files["file"])
        wish = Wish(task=TRANSLATE, prompt=params.prompt or "")
        call = call_of(request, endpoint=TRANSLATIONS, model=params.model)
        done = run_task(call, TranscriptTask(sound, wish, endpoint=TRANSLATIONS))
        return _whole(done, params.response_format, task=TRANSLATE, segments=True, words=False)


def _transcript(done: Done) -> Transcript:
    """A sound is one call, and one answer."""
    (transcript,) = done.values
    assert isinstance(transcript, Transcript)
    return transcript


def _whole(
    done: Done, response_format: str, *, task: str, segments: bool, words: bool
) -> HttpResponse:
    transcript, money = _transcript(done), money_fields(done.told)
    if as_text := _TEXTS.get(response_format):
        return _response(as_text(transcript).encode(), "text/plain; charset=utf-8", done)
    if response_format == "json":
        return JsonResponse(formats.as_json(transcript, money), headers=done.headers)
    document = formats.as_verbose_json(transcript, money, task=task, segments=segments, words=words)
    return JsonResponse(document, headers=done.headers)


def _stream(done: Done) -> HttpResponse:
    """All of it at once: the answer was whole before its first event."""
    body = formats.as_events(_transcript(done), money_fields(done.told))
    response = _response(body, "text/event-stream; charset=utf-8", done)
    response["Cache-Control"] = "no-cache, no-transform"
    return response


def _response(body: bytes, content_type: str, done: Done) -> HttpResponse:
    response = HttpResponse(body, content_type=content_type, headers=done.headers)
    response["Content-Length"] = str(len(body))
    return response
