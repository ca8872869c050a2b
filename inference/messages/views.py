"""POST /v1/messages and /v1/messages/count_tokens, as in Anthropic's API reference."""

from dataclasses import replace

from django.http import HttpResponseBase
from rest_framework.request import Request

from agentflare.api import JsonResponse, read_params
from agentflare.envelopes import request_id_of
from inference.catalog.allowed import require_allowed
from inference.catalog.selectors import Offer, catalogue
from inference.chat.run import ChatRun
from inference.chat.views import answer_chat
from inference.idempotency.views import InferenceView
from inference.messages.blocks import Thoughts
from inference.messages.images import fetch_images
from inference.messages.params import MessageParams, PromptParams, Thinking
from inference.messages.requests import ENDPOINT, chat_params, prepare_message
from inference.messages.shape import MessageDialect, Shape
from inference.pipeline import Admitted, admit_call, prepare_candidates
from inference.views import call_of, caller


class MessagesView(InferenceView):
    def post(self, request: Request) -> HttpResponseBase:
        params = read_params(request, MessageParams)
        params.check()
        call = call_of(
            request,
            endpoint=ENDPOINT,
            model=params.model,
            is_stream=bool(params.stream),
            affinity=params.user_id,
        )
        fetch_images(params, tenant_code=call.caller.tenant_code)
        chat = chat_params(params)
        admitted = admit_call(
            call,
            prepare=lambda offer: prepare_message(chat, offer),
            shrink=lambda offer, cap: prepare_message(chat.capped(cap), offer),
        )
        shape = Shape(
            message_id=f"msg_{call.request_id.hex}",
            model=params.model,
            request_id=request_id_of(request._request),
            thoughts=thoughts_for(params.thinking),
            stop_sequences=tuple(chat.stops),
            likely_input_tokens=_likely_tokens(admitted),
        )
        return answer_chat(request, ChatRun(admitted, MessageDialect(shape)))


class CountTokensView(InferenceView):
    """Our estimate, free of charge: nothing is held and upstream is not asked."""

    def post(self, request: Request) -> HttpResponseBase:
        params = read_params(request, PromptParams)
        params.check()
        fetch_images(params, tenant_code=caller(request).tenant_code)
        chat = chat_params(params)

        # A prompt too long for the window is counted too: that is what its client wants to know.
        plan = catalogue().of(caller(request).tenant_code).route(params.model)
        require_allowed(caller(request), plan)
        candidates = prepare_candidates(
            plan,
            lambda offer: prepare_message(chat, _without_window(offer)),
        )
        # Of a route, whose calls go here and there, the most.
        likely = max(candidate.work.estimate.likely_prompt_tokens for candidate in candidates)
        return JsonResponse({"input_tokens": likely})


def thoughts_for(thinking: Thinking | None) -> Thoughts:
    """Only who asks for thinking gets to read it: others expect text in the first block."""
    if thinking is None or thinking.type == "disabled":
        return Thoughts.HIDDEN
    return Thoughts.OMITTED if thinking.display == "omitted" else Thoughts.SHOWN


def _without_window(offer: Offer) -> Offer:
    return replace(offer, context_window=None)


def _likely_tokens(admitted: Admitted) -> int:
    likely: int = admitted.candidates[0].work.estimate.likely_prompt_tokens
    return likely
