"""Texts to vectors: in calls of a size that upstream takes."""

import array
import base64
import math
import sys
from typing import Any

from agentflare.errors import ContextLengthError, UnsupportedParamError
from inference.attempts import Prepared
from inference.catalog.selectors import Offer
from inference.embeddings.params import EmbeddingParams
from inference.inputs import name_of_text
from inference.metering import native
from inference.metering.measured import sum_quantities
from inference.pipeline import require_kind
from inference.tasks import Part
from inference.tokens.bounds import token_bound
from inference.tokens.measures import measure
from inference.upstreams.client import Answer
from inference.upstreams.failures import UpstreamCallError
from inference.upstreams.requests import JsonRequest, UpstreamRequest

ENDPOINT = "embeddings"
KINDS = ("embeddings",)
# Values of one call upstream.
_BATCH = 100
# And their characters: a call of long texts would run into upstream's limit of time.
_BATCH_CHARS = 200_000
# Trained so that a vector's beginning is a vector: it may be cut and scaled to length 1 again.
_CUTTABLE = ("qwen3-embedding", "embeddinggemma")

_LARGEST_FLOAT32 = 3.4e38
# Of spaces.
_LONGEST_TOKEN_CHARS = 128
# A first and a last one; and some vocabularies begin a text with a space.
_TOKENS_AROUND_A_TEXT = 3
# Texts are commonly cut to exactly the window, by the model's own vocabulary: the likely count is
# seldom so far above the real one, and a text in between is upstream's to take or refuse.
_SURELY = 1.35

Vector = list[float]


class EmbeddingTask:
    def __init__(self, params: EmbeddingParams, texts: list[str]) -> None:
        self.params = params
        self.texts = texts

    def prepare(self, offer: Offer) -> Prepared:
        """Raises NotFoundError, UnsupportedParamError for dimensions it does not have, or
        ContextLengthError for a text that is too long."""
        require_kind(offer, KINDS, endpoint=ENDPOINT)
        self._check(offer)
        self._check_lengths(offer)
        requests = [self._request(offer, batch) for batch in batches(self.texts)]
        return Prepared(offer, sum_quantities([native.most(offer, r) for r in requests]), requests)

    def _check(self, offer: Offer) -> None:
        wanted = self.params.dimensions
        if wanted and offer.dimensions and wanted != offer.dimensions:
            can_cut = any(name in offer.upstream_model for name in _CUTTABLE)
            if not can_cut or wanted > offer.dimensions:
                raise UnsupportedParamError(
                    f"The model `{self.params.model}` has vectors of {offer.dimensions} "
                    f"dimensions{', or fewer' if can_cut else ' only'}.",
                    param="dimensions",
                )
        if self.params.pooling and "/bge-" not in offer.upstream_model:
            raise UnsupportedParamError(
                f"The model `{self.params.model}` has one way of pooling only.", param="pooling"
            )
        if self.params.instruction and "qwen3-embedding" not in offer.upstream_model:
            raise UnsupportedParamError(
                f"The model `{self.params.model}` takes no instruction.", param="instruction"
            )

    def _check_lengths(self, offer: Offer) -> None:
        """Each text has the model's window for itself: one that is too long would have all of its
        batch refused, or be cut without a word. By the likely count, not by the upper bound."""
        limit = offer.max_input_tokens or offer.context_window
        if limit is None:
            return
        before = self.params.instruction or ""
        for position, text in enumerate(self.texts):
            tokens = _tokens_beyond(limit, f"{before}{text}", offer)
            if tokens:
                raise ContextLengthError(
                    context_window=limit,
                    prompt_tokens=tokens,
                    param=name_of_text(self.params.input, position, param="input"),
                )

    def _request(self, offer: Offer, texts: list[str]) -> JsonRequest:
        if offer.upstream:
            return JsonRequest({"input": texts}, operation="embeddings")
        if self.params.instruction or self.params.input_type:
            return JsonRequest(self._instructed(offer, texts))
        body: dict[str, Any] = {"text": texts}
        if self.params.pooling:
            body["pooling"] = self.params.pooling
        return JsonRequest(body)

    def _instructed(self, offer: Offer, texts: list[str]) -> dict[str, Any]:
        """Qwen's model treats queries and documents differently; others take both as text."""
        if "qwen3-embedding" not in offer.upstream_model:
            return {"text": texts}
        body: dict[str, Any] = (
            {"documents": texts} if self.params.input_type == "document" else {"queries": texts}
        )
        if self.params.instruction:
            body["instruction"] = self.params.instruction
        return body

    def read(self, offer: Offer, request: UpstreamRequest, answer: Answer) -> Part:
        result = answer.result()
        vectors = vectors_in(result)
        expected = len(_texts_in(request))
        if len(vectors) != expected:
            raise UpstreamCallError.unreadable(f"{len(vectors)} vectors for {expected} texts")
        lengths = {len(vector) for vector in vectors}
        if len(lengths) > 1 or (offer.dimensions and lengths != {offer.dimensions}):
            raise UpstreamCallError.unreadable(f"vectors of {sorted(lengths)[:5]} dimensions")
        if self.params.dimensions:
            vectors = [cut(vector, self.params.dimensions) for vector in vectors]
        return Part(vectors, native.used(offer, request, answer, result=result))


def _tokens_beyond(limit: int, text: str, offer: Offer) -> int:
    """How many tokens a text likely has, if that is surely more than the limit; else 0."""
    if len(text.encode()) + _TOKENS_AROUND_A_TEXT <= limit:  # no token is less than a byte
        return 0
    if len(text) > _LONGEST_TOKEN_CHARS * limit:  # counting it would take seconds
        return len(text) // _LONGEST_TOKEN_CHARS
    likely = token_bound(measure(text), model=offer.name, vocabulary=offer.vocabulary).likely
    return likely if likely > _SURELY * limit else 0


def batches(texts: list[str]) -> list[list[str]]:
    """In order, none over the limits unless one text alone is."""
    found: list[list[str]] = []
    size = 0
    for text in texts:
        if not found or len(found[-1]) >= _BATCH or size + len(text) > _BATCH_CHARS:
            found.append([])
            size = 0
        found[-1].append(text)
        size += len(text)
    return found


def _texts_in(request: UpstreamRequest) -> list[str]:
    fields = native.fields_of(request)
    for name in ("text", "queries", "documents", "input"):
        if name in fields:
            texts: list[str] = fields[name]
            return texts
    raise KeyError("no texts")


def vectors_in(result: Any) -> list[Vector]:
    """From Workers AI's answer, or from OpenAI's."""
    data = result.get("data") or result.get("response")
    if not isinstance(data, list) or not data:
        raise UpstreamCallError.unreadable("no vectors in the answer")
    if isinstance(data[0], dict):
        data = sorted(data, key=lambda row: row["index"])
        if [row["index"] for row in data] != list(range(len(data))):
            raise UpstreamCallError.unreadable("vectors of other texts")
        data = [row["embedding"] for row in data]
    for vector in data:
        if not isinstance(vector, list) or not vector or not all(map(_is_finite, vector)):
            raise UpstreamCallError.unreadable("a vector that is none")
    return data


def _is_finite(value: Any) -> bool:
    """And a number that float32 can hold, which many clients read vectors as."""
    return isinstance(value, int | float) and abs(value) <= _LARGEST_FLOAT32


def cut(vector: Vector, dimensions: int) -> Vector:
    """The first dimensions, scaled to length 1."""
    if len(vector) <= dimensions:
        return vector
    kept = vector[:dimensions]
    length = math.sqrt(sum(value * value for value in kept)) or 1.0
    return [value / length for value in kept]


def as_base64(vector: Vector) -> str:
    """Little-endian float32, as OpenAI's clients read it."""
    packed = array.array("f", vector)
    if sys.byteorder == "big":
        packed.byteswap()
    return base64.b64encode(packed.tobytes()).decode()
