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
from inference.tokens.bounds import token_bound
from inference.tokens.counting import count_tokens
from inference.tokens.measures import measure
from inference.upstreams.client import Answer
from inference.upstreams.requests import FormRequest, JsonRequest, RawRequest, UpstreamRequest

# Base64 of pictures and sounds: not read as text.
_MEDIA = {"image", "image_b64", "mask", "audio", "images", "videos"}
_DATA_URL = ("data:image/", "data:audio/", "data:video/")
# What one medium may count for at a model that prices it in tokens.
_TOKENS_PER_MEDIUM = 3_000
# Some models frame what they read: rerankers and classifiers add marks to each text.
_MARKS_PER_TEXT = 8
# A translation is rarely longer than this, in tokens of the original.
_LONGEST_TRANSLATION = 3
_SHORTEST_BOUND = 256


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
        if tokens is None:
            tokens, truth = likely_input_tokens(fields), Truth.COUNTED
        quantities[Unit.INPUT_TOKENS] = min(tokens, 4 * most_input_tokens(offer, fields))
    if Unit.OUTPUT_TOKENS in units:
        tokens = told.get("output")
        if tokens is None:
            tokens, truth = count_tokens("\n".join(texts_of(result))), Truth.COUNTED
        quantities[Unit.OUTPUT_TOKENS] = tokens
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
    """More than this a text cannot be."""
    texts = list(texts_of(without_media(fields)))
    bound = most_tokens(offer, "\n".join(texts))
    bound += _MARKS_PER_TEXT * len(texts) + _TOKENS_PER_MEDIUM * media_count(fields)
    return bound + _pairs(fields) * most_tokens_of_query(offer, fields)


def most_tokens_of_query(offer: Offer, fields: Mapping[str, Any]) -> int:
    """A reranker reads the query again with every context."""
    query = fields.get("query")
    return most_tokens(offer, query) + _MARKS_PER_TEXT if isinstance(query, str) else 0


def most_tokens(offer: Offer, text: str) -> int:
    return token_bound(measure(text), model=offer.name, vocabulary=offer.vocabulary).most


def _pairs(fields: Mapping[str, Any]) -> int:
    contexts = fields.get("contexts")
    return max(0, len(contexts) - 1) if isinstance(contexts, list) else 0


def likely_input_tokens(fields: Mapping[str, Any]) -> int:
    query = fields.get("query")
    again = count_tokens(query) * _pairs(fields) if isinstance(query, str) else 0
    return count_tokens("\n".join(texts_of(without_media(fields)))) + again


def most_output_tokens(offer: Offer, fields: Mapping[str, Any]) -> int:
    """The cap that the call names; without one, what such a model can write."""
    cap = fields.get("max_tokens") or fields.get("max_completion_tokens")
    if isinstance(cap, int) and cap > 0:
        return cap
    if offer.kind == "translation":
        return max(_SHORTEST_BOUND, _LONGEST_TRANSLATION * most_input_tokens(offer, fields))
    return offer.max_output_tokens or 4_096


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


def without_media(fields: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in fields.items() if name not in _MEDIA}


def media_count(fields: Mapping[str, Any]) -> int:
    found = [fields[name] for name in _MEDIA if name in fields]
    # A list of numbers is one picture as bytes.
    named = sum(
        len(value) if isinstance(value, list) and value and isinstance(value[0], str) else 1
        for value in found
    )
    return named + data_urls(without_media(fields))


def data_urls(value: Any) -> int:
    """How many media stand inside a document, as the parts of a message do."""
    if isinstance(value, str):
        return int(value.startswith(_DATA_URL))
    inner = value.values() if isinstance(value, Mapping) else value
    return sum(map(data_urls, inner)) if isinstance(value, Mapping | list) else 0


def texts_of(value: Any) -> Iterator[str]:
    """Every string in a document, and the names of its fields."""
    if isinstance(value, str):
        if not value.startswith(_DATA_URL):
            yield value
    elif isinstance(value, Mapping):
        for name, inner in value.items():
            yield str(name)
            yield from texts_of(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from texts_of(inner)


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
