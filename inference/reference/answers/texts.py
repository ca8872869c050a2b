"""Answers about texts: vectors, verdicts, ranks, translations, labels."""

import re
from typing import TYPE_CHECKING, Annotated, Any, Literal

from pydantic import ConfigDict, Field, StringConstraints, create_model

from inference.moderations.categories import CATEGORIES
from inference.reference.answers.base import SOMETIMES, Answer, Money
from inference.reference.answers.chat import ChatUsage, FinishReason

# A count that may have a fraction.
Count = Annotated[str, StringConstraints(pattern=r"^[0-9]+(\.[0-9]+)?$")]


class TokenUsage(Money):
    prompt_tokens: int
    total_tokens: int


class TaskUsage(Money):
    """What was counted, each under its unit, and the money. Units that a model is not priced by
    are left out; those that are not tokens are decimal numbers in strings."""

    prompt_tokens: int = SOMETIMES
    completion_tokens: int = SOMETIMES
    total_tokens: int = SOMETIMES
    characters: Count = SOMETIMES
    audio_minute: Count = SOMETIMES
    audio_minute_websocket: Count = SOMETIMES
    images: Count = SOMETIMES
    requests: Count = SOMETIMES
    step: Count = SOMETIMES
    output_tile_512: Count = SOMETIMES
    input_tile_512: Count = SOMETIMES
    output_tile_512_step: Count = SOMETIMES
    input_tile_512_step: Count = SOMETIMES
    first_megapixel: Count = SOMETIMES
    subsequent_megapixel: Count = SOMETIMES
    input_image_megapixel: Count = SOMETIMES


class Embedding(Answer):
    object: Literal["embedding"]
    index: int
    """The place of its text in `input`."""
    embedding: list[float] | str
    """Numbers; with `encoding_format: "base64"` their bytes, little-endian float32."""


class EmbeddingList(Answer):
    object: Literal["list"]
    data: list[Embedding]
    model: str
    usage: TokenUsage


class _WithoutSource(Answer):
    # pydantic would look for it in all modules there are, and take half a second.
    model_config = ConfigDict(use_attribute_docstrings=False)


def by_category(name: str, kind: Any) -> type[Answer]:
    """A model with a field of `kind` for each of OpenAI's categories."""
    fields: dict[str, Any] = {
        re.sub(r"\W", "_", category): (kind, Field(alias=category)) for category in CATEGORIES
    }
    return create_model(name, __base__=_WithoutSource, __module__=__name__, **fields)


if TYPE_CHECKING:

    class ModerationCategories(Answer): ...

    class ModerationScores(Answer): ...

    class ModerationInputTypes(Answer): ...
else:
    ModerationCategories = by_category("ModerationCategories", bool)
    ModerationScores = by_category("ModerationScores", float)
    ModerationInputTypes = by_category("ModerationInputTypes", list[Literal["text"]])


class ModerationResult(Answer):
    flagged: bool
    categories: ModerationCategories
    category_scores: ModerationScores
    """0.99 or 0.01: the model says yes or no."""
    category_applied_input_types: ModerationInputTypes
    hazards: list[str]
    """As the model named them: S1 to S14 of MLCommons' taxonomy."""


class Moderation(Answer):
    id: str
    model: str
    results: list[ModerationResult]
    """One for each text."""
    usage: Money


class RerankResult(Answer):
    index: int
    """The place of the document in `documents`."""
    relevance_score: float
    document: dict[str, Any] = SOMETIMES
    """With `return_documents`: as it was sent; a string as `{"text": …}`."""


class BilledUnits(Answer):
    search_units: int
    input_tokens: int


class RerankMeta(Answer):
    billed_units: BilledUnits


class RerankList(Answer):
    id: str
    object: Literal["list"]
    model: str
    results: list[RerankResult]
    """The most relevant first."""
    usage: TokenUsage
    meta: RerankMeta


class Translation(Answer):
    object: Literal["translation"]
    index: int
    text: str


class TranslationList(Answer):
    object: Literal["list"]
    data: list[Translation]
    model: str
    usage: TaskUsage


class Label(Answer):
    label: str
    score: float


class Classification(Answer):
    object: Literal["classification"]
    index: int
    results: list[Label]
    """The likeliest first."""


class ClassificationList(Answer):
    object: Literal["list"]
    data: list[Classification]
    model: str
    usage: TaskUsage


class Summary(Answer):
    id: str
    object: Literal["summary"]
    model: str
    text: str
    finish_reason: FinishReason
    """`stop`; `length` where `max_tokens` cut it off."""
    usage: ChatUsage
