"""Llama Guard, asked about each text."""

from typing import Any

import orjson

from agentflare.errors import GatewayError, JsonNotMetError
from inference.attempts import Prepared
from inference.catalog.selectors import Offer
from inference.metering import native
from inference.metering.measured import sum_quantities
from inference.pipeline import require_kind
from inference.tasks import Part
from inference.upstreams.client import Answer
from inference.upstreams.failures import UpstreamCallError
from inference.upstreams.requests import JsonRequest, UpstreamRequest

ENDPOINT = "moderations"
KINDS = ("moderation",)
# "unsafe" and a line of hazards.
_OUTPUT_CAP = 64


class ModerationTask:
    def __init__(self, texts: list[str]) -> None:
        self.texts = texts

    def prepare(self, offer: Offer) -> Prepared:
        require_kind(offer, KINDS, endpoint=ENDPOINT)
        requests = [
            JsonRequest(
                {
                    "messages": [{"role": "user", "content": text}],
                    "response_format": {"type": "json_object"},
                    "max_tokens": _OUTPUT_CAP,
                }
            )
            for text in self.texts
        ]
        return Prepared(offer, sum_quantities([native.most(offer, r) for r in requests]), requests)

    def read(self, offer: Offer, request: UpstreamRequest, answer: Answer) -> Part:
        """The verdict as {"safe": bool, "hazards": [...]}."""
        result = answer.result()
        return Part(
            verdict_in(result["response"]), native.used(offer, request, answer, result=result)
        )


def error_of(failure: UpstreamCallError) -> GatewayError:
    """JSON is our own wish: an answer that is none is not the fault of the text."""
    if failure.error.code == JsonNotMetError.code:
        return UpstreamCallError.unreadable(failure.detail).error
    return failure.error


def verdict_in(response: Any) -> dict[str, Any]:
    """From the object that JSON mode gives, or from the model's own two lines."""
    if isinstance(response, str) and response.lstrip().startswith("{"):
        response = orjson.loads(response)
    if isinstance(response, dict) and isinstance(response.get("safe"), bool):
        named = response.get("categories") or []
        hazards = named.split(",") if isinstance(named, str) else [str(hazard) for hazard in named]
        return {"safe": response["safe"], "hazards": [hazard.strip() for hazard in hazards]}
    if isinstance(response, str):
        word, _, rest = response.strip().partition("\n")
        if word == "safe":
            return {"safe": True, "hazards": []}
        if word == "unsafe":
            hazards = [hazard.strip() for hazard in rest.split(",") if hazard.strip()]
            return {"safe": False, "hazards": hazards}
    raise UpstreamCallError.unreadable("no verdict in the answer")
