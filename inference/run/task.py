"""A native call: sent as it came, with the output cap that its price is held for."""

from dataclasses import dataclass
from typing import Any

from django.conf import settings

from agentflare.errors import InvalidRequestError, NotFoundError, UnsupportedParamError
from billing.prices.models import Unit
from inference.attempts import Prepared
from inference.catalog.selectors import Offer
from inference.metering import native
from inference.tasks import Part
from inference.upstreams.client import Answer
from inference.upstreams.requests import JsonRequest, UpstreamRequest

ENDPOINT = "run"
_CAPS = ("max_tokens", "max_completion_tokens")
_MOST_CHOICES = 16
_STREAMING_KINDS = {"chat", "moderation"}


@dataclass(frozen=True, slots=True)
class NativeAnswer:
    """content: bytes of `content_type`, or a JSON document."""

    content: Any
    content_type: str = "application/json"


class NativeTask:
    def __init__(self, request: UpstreamRequest) -> None:
        self.request = request

    def prepare(self, offer: Offer) -> Prepared:
        """Raises NotFoundError for a model that has no native form."""
        if offer.upstream:
            raise NotFoundError(
                f"The model `{offer.name}` is not one of Workers AI's: it has no native form.",
                param="model",
                code="model_not_supported",
            )
        fields = native.fields_of(self.request)
        if fields.get("stream") and offer.kind not in _STREAMING_KINDS:
            raise UnsupportedParamError(
                f"The model `{offer.name}` does not stream here.", param="stream"
            )
        request = with_cap(self.request, offer)
        most = native.most(offer, request)
        if Unit.OUTPUT_TOKENS in most:
            most[Unit.OUTPUT_TOKENS] = most[Unit.OUTPUT_TOKENS] * choices_in(fields)
        return Prepared(offer, most, [request])

    def read(self, offer: Offer, request: UpstreamRequest, answer: Answer) -> Part:
        if answer.is_json:
            result = answer.result()
            used = native.used(offer, request, answer, result=result)
            return Part(NativeAnswer(without_neurons(result)), used)
        content = answer.content()
        used = native.used(offer, request, answer, result=None, content=content)
        return Part(NativeAnswer(content, answer.content_type), used)


def with_cap(request: UpstreamRequest, offer: Offer) -> UpstreamRequest:
    """What a model writes must have a cap: without one, upstream's own default would decide."""
    if not isinstance(request, JsonRequest) or offer.kind not in _STREAMING_KINDS:
        return request
    for name in _CAPS:
        cap = request.body.get(name)
        if cap is None:
            continue
        if isinstance(cap, bool) or not isinstance(cap, int) or cap < 1:
            raise InvalidRequestError(f"'{name}' must be a positive integer.", param=name)
        return request
    name = "max_tokens" if offer.is_native else "max_completion_tokens"
    cap = settings.DEFAULT_MAX_OUTPUT_TOKENS
    if offer.context_window:
        cap = min(cap, offer.context_window // 2)
    return JsonRequest({**request.body, name: cap}, query=request.query)


def choices_in(fields: Any) -> int:
    """How many answers a call asks for. Raises InvalidRequestError."""
    count = fields.get("n", 1)
    if count is None:
        return 1
    if isinstance(count, bool) or not isinstance(count, int) or not 1 <= count <= _MOST_CHOICES:
        raise InvalidRequestError(f"'n' must be from 1 to {_MOST_CHOICES}.", param="n")
    return count


def without_neurons(result: Any) -> Any:
    """What a call costs us is no affair of the client's."""
    if not isinstance(result, dict):
        return result
    cleaned = {name: value for name, value in result.items() if name != "p"}
    for name in ("usage", "meta"):
        if isinstance(inner := cleaned.get(name), dict):
            cleaned[name] = {key: value for key, value in inner.items() if key != "neurons"}
    return cleaned
