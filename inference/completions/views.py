"""POST /v1/completions, as in OpenAI's API reference."""

import time

from django.http import HttpResponseBase
from rest_framework.request import Request

from agentflare.api import read_params
from inference.chat.run import ChatRun
from inference.chat.shape import Shape
from inference.chat.views import answer_chat
from inference.completions.params import CompletionParams
from inference.completions.prepare import ENDPOINT, prepare_completion
from inference.completions.shape import CompletionDialect
from inference.idempotency.views import InferenceView
from inference.inputs import MAX_VALUES_WITH_TOKENS, texts_of_input
from inference.pipeline import admit_call
from inference.views import call_of


class CompletionsView(InferenceView):
    def post(self, request: Request) -> HttpResponseBase:
        params = read_params(request, CompletionParams, max_values=MAX_VALUES_WITH_TOKENS)
        prompts = texts_of_input(params.prompt, param="prompt")
        params.check(prompts)
        call = call_of(
            request, endpoint=ENDPOINT, model=params.model, is_stream=bool(params.stream)
        )
        admitted = admit_call(
            call,
            prepare=lambda offer: prepare_completion(params, prompts, offer),
            shrink=lambda offer, cap: prepare_completion(params.capped(cap), prompts, offer),
        )
        dialect = CompletionDialect(
            Shape(f"cmpl-{call.request_id.hex}", int(time.time()), params.model),
            choices=params.choices,
            prompts=prompts,
            echo=bool(params.echo),
            include_usage=params.includes_usage,
        )
        return answer_chat(request, ChatRun(admitted, dialect))
