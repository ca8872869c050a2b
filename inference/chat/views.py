"""POST /v1/chat/completions, as in OpenAI's API reference."""

import time

from django.db import close_old_connections
from django.http import HttpResponseBase
from rest_framework.request import Request

from agentflare.api import JsonResponse, read_params
from inference.chat.images import with_fetched_images
from inference.chat.params import ChatCompletionParams
from inference.chat.prepare import prepare_chat
from inference.chat.run import ChatRun
from inference.chat.shape import ChatDialect, Shape
from inference.idempotency.views import InferenceView
from inference.pipeline import admit_call
from inference.views import RunStream, call_of

ENDPOINT = "chat/completions"


class ChatCompletionsView(InferenceView):
    def post(self, request: Request) -> HttpResponseBase:
        params = read_params(request, ChatCompletionParams)
        params.check()
        call = call_of(
            request,
            endpoint=ENDPOINT,
            model=params.model,
            is_stream=bool(params.stream),
            affinity=params.prompt_cache_key or "",
        )
        params = with_fetched_images(params, tenant_code=call.caller.tenant_code)
        admitted = admit_call(
            call,
            prepare=lambda offer: prepare_chat(params, offer, endpoint=ENDPOINT),
            shrink=lambda offer, cap: prepare_chat(params.capped(cap), offer, endpoint=ENDPOINT),
        )
        dialect = ChatDialect(
            Shape(f"chatcmpl-{call.request_id.hex}", int(time.time()), params.model),
            choices=params.choices,
            include_usage=params.includes_usage,
        )
        return answer_chat(request, ChatRun(admitted, dialect))


def answer_chat(request: Request, run: ChatRun) -> HttpResponseBase:
    """The run as its client asked for it: streamed or whole."""
    # Admission may have asked PostgreSQL; a stream must not keep the connection to its end.
    close_old_connections()
    if run.admitted.call.is_stream:
        return RunStream(run, request=request)
    run.start()
    completion = run.completion()
    return JsonResponse(completion, headers=run.headers())
