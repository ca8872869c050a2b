"""What a call of any kind can use, and did use, by what it sends and what comes back.

Chats are measured by chat/reader.py as they stream. Everything else is measured here, from the
native request and the native answer, whichever endpoint has made them: the units that the AI
model's price has decide what is counted.
"""

import math
from collections.abc import Iterator, Mapping
from decimal import Decimal
from typing import Any

from billing.prices.models import Unit
from billing.usage.models import Truth
from inference.catalog.selectors import Offer
from inference.metering import pictures, sounds
from inference.metering.measured import Measured, Quantities, parse_neurons
from inference.metering.written import count_written
from inference.tokens.bounds import token_bound
from inference.tokens.counting import count_tokens
from inference.tokens.measures import measure
from inference.tokens.texts import Texts, collect
from inference.upstreams.client import Answer
from inference.upstreams.requests import FormRequest, JsonRequest, RawRequest, UpstreamRequest

# Base64 of pictures and sounds: not read as text.
_MEDIA = {"image", "image_b64", "mask", "audio", "images", "videos"}
_URLS = {"url", "image_url"}
# Models read these as text, whatever it looks like.
_TEXTS = {"tools", "functions", "tool_choice", "response_format", "guided_json", "text", "prompt"}
# What an answer tells of itself: nothing that a model has written.
_MEASURES = {"usage", "metrics", "meta"}
_DATA_URL = ("data:image/", "data:audio/", "data:video/")
# What one medium may count for at a model that prices it in tokens.
_TOKENS_PER_MEDIUM = 3_000
# Some models frame what they read: rerankers and classifiers add marks to each text.
_MARKS_PER_TEXT = 8
# A translation is rarely longer than this, in tokens of the original.
_LONGEST_TRANSLATION = 3
_SHORTEST_BOUND = 256
# However a caller names the most that a model may write.
OUTPUT_CAPS = ("max_tokens", "max_completion_tokens", "max_output_tokens")
MOST_CHOICES = 16
# Upstream's own count may lie above our bound, but not by more than this.
_BELIEVABLE = 4


def most(offer: Offer, request: UpstreamRequest) -> Quantities:
    """An upper bound for every unit of the model's price."""
    units = offer.price.rates
    quantities: Quantities = {}
    fields = fields_of(request)
    if Unit.INPUT_TOKENS in units:
        quantities[Unit.INPUT_TOKENS] = most_input_tokens(offer, fields)
    if Unit.OUTPUT_TOKENS in units:
        quantities[Unit.OUTPUT_TOKENS] = most_output_tokens(offer, fields)
    if Unit.CHARACTERS in units:
        quantities[Unit.CHARACTERS] = characters(fields)
    if Unit.IMAGES in units:
        quantities[Unit.IMAGES] = 1
    if Unit.AUDIO_MINUTE in units:
        quantities[Unit.AUDIO_MINUTE] = sounds.most_minutes(offer, request)
    return {**quantities, **pictures.quantities(offer, request)}


def used(
    offer: Offer, request: UpstreamRequest, answer: Answer, *, result: Any, content: bytes = b""
) -> Measured:
    """What the answer says that the call used; where it says nothing, what we count.

    result: the answer's JSON out of its envelope, or None; content: its bytes, if it is not JSON.
    Raises UpstreamCallError for a text far beyond what was asked for.
    """
    units = offer.price.rates
    fields = fields_of(request)
    told = _usage_in(result)
    neurons = parse_neurons(answer.neurons)
    if neurons is None:
        neurons = parse_neurons(told.get("neurons"))
    quantities: Quantities = {}
    truth = Truth.PROVIDER
    if Unit.INPUT_TOKENS in units:
        tokens = told.get("input")
        if not tokens:  # a call that used nothing is a fault of whoever counted
            tokens, truth = likely_input_tokens(fields), Truth.COUNTED
        most_tokens_in = _BELIEVABLE * most_input_tokens(offer, fields)
        quantities[Unit.INPUT_TOKENS] = min(tokens, most_tokens_in)
    if Unit.OUTPUT_TOKENS in units:
        tokens = told.get("output")
        if not tokens or tokens > _BELIEVABLE * most_output_tokens(offer, fields):
            written = collect(_without_measures(result), strict=False).joined()
            cap = most_output_tokens(offer, fields)
            tokens, truth = count_written(written, cap=cap), Truth.COUNTED
        quantities[Unit.OUTPUT_TOKENS] = min(tokens, most_output_tokens(offer, fields))
    if Unit.CHARACTERS in units:
        quantities[Unit.CHARACTERS] = characters(fields)
    if Unit.IMAGES in units:
        quantities[Unit.IMAGES] = 1
    if Unit.AUDIO_MINUTE in units:
        minutes, is_told = sounds.minutes(offer, request, result=result, content=content)
        quantities[Unit.AUDIO_MINUTE] = minutes
        truth = truth if is_told else Truth.COUNTED
    if of_pictures := pictures.quantities(offer, request):
        quantities.update(of_pictures)
        truth = Truth.COUNTED
    return Measured(quantities=quantities, neurons=neurons, truth=truth)


# --- tokens -------------------------------------------------------------------------


def most_input_tokens(offer: Offer, fields: Mapping[str, Any]) -> int:
    """More than this a text cannot be. Raises InvalidRequestError for an absurd document."""
    found = read_as_text(fields)
    bound = most_tokens(offer, found.joined()) + _MARKS_PER_TEXT * len(found.texts)
    bound += tokens_per_medium(offer) * (found.media + named_media(fields))
    return bound + sum(
        times * (most_tokens(offer, text) + _MARKS_PER_TEXT) for text, times in read_again(fields)
    )


def likely_input_tokens(fields: Mapping[str, Any]) -> int:
    again = sum(times * count_tokens(text) for text, times in read_again(fields))
    return count_tokens(read_as_text(fields).joined()) + again


def most_tokens(offer: Offer, text: str) -> int:
    return token_bound(measure(text), model=offer.name, vocabulary=offer.vocabulary).most


def tokens_per_medium(offer: Offer) -> int:
    """A decision model reads sounds and films too: up to all of its window."""
    if offer.kind == "decision" and offer.context_window:
        return offer.context_window
    return _TOKENS_PER_MEDIUM


def read_again(fields: Mapping[str, Any]) -> Iterator[tuple[str, int]]:
    """Texts that a model reads with each of several others, and how many times more: a
    reranker its query, an embedding model its instruction."""
    for text, others in (("query", "contexts"), ("instruction", "queries")):
        again, each = fields.get(text), fields.get(others)
        if isinstance(again, str) and isinstance(each, list) and len(each) > 1:
            yield again, len(each) - 1


def most_output_tokens(offer: Offer, fields: Mapping[str, Any]) -> int:
    """The cap that the call names; without one, what such a model can write. For all answers."""
    caps = [cap for name in OUTPUT_CAPS if isinstance(cap := fields.get(name), int) and cap > 0]
    if caps:
        return max(caps) * choices_in(fields)
    if offer.kind == "translation":
        return max(_SHORTEST_BOUND, _LONGEST_TRANSLATION * most_input_tokens(offer, fields))
    return offer.max_output_tokens or 4_096


def choices_in(fields: Mapping[str, Any]) -> int:
    count = fields.get("n")
    return count if isinstance(count, int) and 1 <= count <= MOST_CHOICES else 1


def characters(fields: Mapping[str, Any]) -> int:
    """Of the text that is to be spoken."""
    return len(str(fields.get("text") or fields.get("prompt") or ""))


# --- reading requests and answers ---------------------------------------------------


def fields_of(request: UpstreamRequest) -> Mapping[str, Any]:
    """The named inputs of a call; raw bytes have none."""
    match request:
        case JsonRequest():
            return request.body
        case FormRequest():
            return request.fields
        case RawRequest():
            return {}


def read_as_text(fields: Mapping[str, Any]) -> Texts:
    """Without what is named as a medium, and without data URLs where a URL belongs: anywhere
    else they are text."""
    others = {name: value for name, value in fields.items() if name not in _MEDIA | _TEXTS}
    texts = {name: fields[name] for name in _TEXTS if name in fields}
    found, plain = collect(others, is_medium=_is_data_url), collect(texts)
    return Texts([*found.texts, *plain.texts], found.media)


def _is_data_url(name: str | None, value: Any) -> bool:
    return name in _URLS and isinstance(value, str) and value.startswith(_DATA_URL)


def named_media(fields: Mapping[str, Any]) -> int:
    found = [fields[name] for name in _MEDIA if name in fields]
    # A list of numbers is one picture as bytes.
    return sum(
        len(value) if isinstance(value, list) and value and isinstance(value[0], str) else 1
        for value in found
    )


def _without_measures(result: Any) -> Any:
    if not isinstance(result, Mapping):
        return result
    return {name: value for name, value in result.items() if name not in _MEASURES}


def _usage_in(result: Any) -> dict[str, Any]:
    """input and output tokens and neurons, under whichever names a model has for them."""
    if not isinstance(result, Mapping):
        return {}
    found: dict[str, Any] = {}
    usage = result.get("usage")
    if isinstance(usage, Mapping):
        found["input"] = _count(usage.get("prompt_tokens", usage.get("input_tokens")))
        found["output"] = _count(usage.get("completion_tokens", usage.get("output_tokens")))
        found["neurons"] = usage.get("neurons")
    metrics = result.get("metrics")
    if isinstance(metrics, Mapping):
        found["input"] = _count(metrics.get("input_tokens"))
        found["output"] = _count(metrics.get("output_tokens"))
    meta = result.get("meta")
    if isinstance(meta, Mapping):  # bge-m3
        found["neurons"] = meta.get("neurons")
        for number in range(1, 4):
            if meta.get(f"cost_metric_name_{number}") == "input_tokens":
                found["input"] = _count(meta.get(f"cost_metric_value_{number}"))
    return found


def _count(value: Any) -> int | None:
    """A whole number of something, or nothing."""
    if isinstance(value, bool) or not isinstance(value, int | float | Decimal):
        return None
    return math.ceil(value) if 0 <= value <= 1_000_000_000 else None
