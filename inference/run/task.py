"""A native call: sent as it came, with the output cap that its price is held for."""

from dataclasses import dataclass
from typing import Any

from django.conf import settings

from agentflare.errors import InvalidRequestError, NotFoundError, UnsupportedParamError
from inference.attempts import Prepared
from inference.catalog.selectors import Offer
from inference.metering import native
from inference.tasks import Part
from inference.upstreams.client import Answer
from inference.upstreams.failures import UpstreamCallError
from inference.upstreams.requests import (
    FormRequest,
    JsonRequest,
    RawRequest,
    UpstreamRequest,
)

ENDPOINT = "run"
_STREAMING_KINDS = {"chat", "moderation"}
_MOST_OUTPUT = 10_000_000
_FORMS: dict[str, tuple[type, ...]] = {
    "json": (JsonRequest,),
    "multipart": (FormRequest,),
    "binary_or_json": (RawRequest, JsonRequest),
    "binary_body_with_content_type": (RawRequest,),
}
_NAMES = {
    JsonRequest: "a JSON body",
    FormRequest: "a form (multipart/form-data)",
    RawRequest: "the bytes of a sound or an image, with their content type",
}


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
        check_form(self.request, offer)
        check_choices(fields)
        request = with_cap(self.request, offer)
        return Prepared(offer, native.most(offer, request), [request])

    def read(self, offer: Offer, request: UpstreamRequest, answer: Answer) -> Part:
        if answer.is_json:
            result = answer.result()
            check_answer(result, offer)
            used = native.used(offer, request, answer, result=result)
            return Part(NativeAnswer(without_neurons(result)), used)
        content = answer.content()
        used = native.used(offer, request, answer, result=None, content=content)
        return Part(NativeAnswer(content, answer.content_type), used)


def check_answer(result: Any, offer: Offer) -> None:
    """What nobody could use is not charged. Raises UpstreamCallError."""
    if not result:
        raise UpstreamCallError.unreadable("an answer without a result")
    if offer.kind not in _STREAMING_KINDS:
        return
    choices = result.get("choices", [{}]) if isinstance(result, dict) else None
    if (
        not isinstance(choices, list)
        or not choices
        or not all(isinstance(c, dict) for c in choices)
    ):
        raise UpstreamCallError.unreadable("no answer of a model that writes")


def with_cap(request: UpstreamRequest, offer: Offer) -> UpstreamRequest:
    """What a model writes must have a cap: without one, upstream's own default would decide."""
    if not isinstance(request, JsonRequest) or offer.kind not in _STREAMING_KINDS:
        return request
    named = [name for name in native.OUTPUT_CAPS if request.body.get(name) is not None]
    for name in named:
        cap = request.body[name]
        if isinstance(cap, bool) or not isinstance(cap, int) or not 1 <= cap <= _MOST_OUTPUT:
            raise InvalidRequestError(f"'{name}' must be a positive integer.", param=name)
    name = _cap_name(request, offer)
    if len(named) > 1 or (named and named != [name] and "max_output_tokens" in (name, *named)):
        raise InvalidRequestError(
            f"The most tokens to write are named by '{name}'.", param=named[-1]
        )
    if named:
        return request
    cap = settings.DEFAULT_MAX_OUTPUT_TOKENS
    if offer.context_window:
        cap = min(cap, offer.context_window // 2)
    return JsonRequest({**request.body, name: cap}, query=request.query)


def _cap_name(request: JsonRequest, offer: Offer) -> str:
    """gpt-oss takes the body of OpenAI's Responses as well, which has a name of its own."""
    if "input" in request.body:
        return "max_output_tokens"
    return "max_tokens" if offer.is_native else "max_completion_tokens"


def check_form(request: UpstreamRequest, offer: Offer) -> None:
    """A body in another form than the model's would be read by nobody, or not be counted.

    Raises InvalidRequestError.
    """
    takes = _FORMS[offer.request_form]
    if not isinstance(request, takes):
        names = " or ".join(_NAMES[form] for form in takes)
        raise InvalidRequestError(f"The model `{offer.name}` takes {names}.")


def check_choices(fields: Any) -> None:
    """How many answers a call asks for is a part of its price. Raises InvalidRequestError."""
    for name in ("n", "best_of"):
        count = fields.get(name)
        most = native.MOST_CHOICES if name == "n" else 1
        if count is not None and (
            isinstance(count, bool) or not isinstance(count, int) or not 1 <= count <= most
        ):
            raise InvalidRequestError(f"'{name}' must be from 1 to {most}.", param=name)


def without_neurons(result: Any) -> Any:
    """What a call costs us is no affair of the client's."""
    if not isinstance(result, dict):
        return result
    cleaned = {name: value for name, value in result.items() if name != "p"}
    for name in ("usage", "meta"):
        if isinstance(inner := cleaned.get(name), dict):
            cleaned[name] = {key: value for key, value in inner.items() if key != "neurons"}
    return cleaned
