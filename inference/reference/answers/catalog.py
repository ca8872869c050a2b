"""Models and routes; and what Workers AI answers by itself."""

from typing import Any, Literal

from inference.reference.answers.base import SOMETIMES, Answer


class Pricing(Answer):
    currency: Literal["USD"]
    price_version: int
    rates: dict[str, str]
    """Unit → dollars for one of it, exact, in a string."""


class Model(Answer):
    """An AI model, or a route to several."""

    id: str
    """What you name in `model`."""
    object: Literal["model"]
    created: int
    """Seconds since 1970; 0 where it is not known."""
    owned_by: str
    kind: str
    """`chat`, `embeddings`, `text-to-image` …: which endpoints take it."""
    cloudflare_id: str | None
    """Cloudflare's own id, which works in `model` too; null for others' models and routes."""
    context_window: int | None
    max_input_tokens: int | None
    max_output_tokens: int | None
    embedding_dimensions: int | None
    capabilities: list[str]
    pricing: Pricing
    routes_to: list[str] = SOMETIMES
    """Of a route: the models that may answer. The one that did is charged at its own price."""


class ModelList(Answer):
    object: Literal["list"]
    data: list[Model]


class NativeAnswer(Answer):
    """Cloudflare's envelope."""

    result: Any
    """As the model answers."""
    success: Literal[True]
    errors: list[Any]
    messages: list[Any]
