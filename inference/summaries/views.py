"""POST /v1/summaries: a text in short, by any chat model."""

from typing import Any

from django.http import HttpResponseBase
from rest_framework.request import Request

from agentflare.api import read_params
from agentflare.errors import GatewayError
from inference.chat.events import Event, Usage
from inference.chat.prepare import prepare_chat
from inference.chat.run import ChatRun
from inference.chat.shape import gather, usage_object
from inference.chat.views import answer_chat
from inference.idempotency.views import InferenceView
from inference.pipeline import Told, admit_call
from inference.summaries.params import SummaryParams
from inference.views import call_of

ENDPOINT = "summaries"


class SummariesView(InferenceView):
    def post(self, request: Request) -> HttpResponseBase:
        params = read_params(request, SummaryParams)
        chat = params.as_chat()
        call = call_of(request, endpoint=ENDPOINT, model=params.model)
        admitted = admit_call(
            call,
            prepare=lambda offer: prepare_chat(chat, offer, endpoint=ENDPOINT),
            shrink=lambda offer, cap: prepare_chat(chat.capped(cap), offer, endpoint=ENDPOINT),
        )
        dialect = SummaryDialect(f"summary-{call.request_id.hex}", params.model)
        return answer_chat(request, ChatRun(admitted, dialect))


class SummaryDialect:
    """A summary is never streamed."""

    system_fingerprint: str | None = None

    def __init__(self, summary_id: str, model: str) -> None:
        self.summary_id = summary_id
        self.model = model

    def whole(self, events: list[Event], usage: Usage, told: Told) -> dict[str, Any]:
        choices = gather(events)
        return {
            "id": self.summary_id,
            "object": "summary",
            "model": self.model,
            "text": "".join(choices[0].content) if choices else "",
            "finish_reason": choices[0].finish_reason if choices else "stop",
            "usage": usage_object(usage, told),
        }

    def begin(self) -> bytes:
        raise NotImplementedError

    def write(self, event: Event) -> bytes:
        raise NotImplementedError

    def end(self, usage: Usage, told: Told) -> bytes:
        raise NotImplementedError

    def error(self, error: GatewayError) -> bytes:
        raise NotImplementedError
