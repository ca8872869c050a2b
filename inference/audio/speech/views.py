"""POST /v1/audio/speech, as in OpenAI's API reference."""

from django.db import close_old_connections
from django.http import HttpResponseBase
from rest_framework.request import Request

from agentflare.api import read_params
from inference.audio.speech.params import SpeechParams
from inference.audio.speech.run import ENDPOINT, SpeechRun, prepare_speech
from inference.idempotency.views import InferenceView
from inference.pipeline import admit_call
from inference.views import RunStream, call_of


class SpeechView(InferenceView):
    def post(self, request: Request) -> HttpResponseBase:
        params = read_params(request, SpeechParams)
        params.check()
        call = call_of(request, endpoint=ENDPOINT, model=params.model, is_stream=True)
        admitted = admit_call(call, prepare=lambda offer: prepare_speech(params, offer))
        run = SpeechRun(admitted, params)
        # Admission may have asked PostgreSQL; a stream must not keep the connection to its end.
        close_old_connections()
        response = RunStream(run, request=request)
        # Which sound it is, the run knows since it has begun.
        response["Content-Type"] = run.content_type
        return response
