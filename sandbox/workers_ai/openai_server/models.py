"""Model ids: whatever a caller names is served, by the same local models."""

from typing import Any, Final

from sandbox.workers_ai.catalogue import Model
from sandbox.workers_ai.exchange import REAL_TEXT_FINGERPRINT

CONTEXT_TOKENS: Final = 131_072
DIMENSIONS: Final = 384

# What the list shows; any other id will do as well.
LISTED: Final = (REAL_TEXT_FINGERPRINT, "sandbox-multilingual-e5-small")


def any_model(model_id: str, *, dimensions: int = DIMENSIONS) -> Model:
    """A model that can do everything and has no price."""
    return Model(
        id=model_id,
        kind="chat",
        native=False,
        context_window=CONTEXT_TOKENS,
        default_max_tokens=None,
        has_tools=True,
        has_reasoning=True,
        has_vision=True,
        json_mode_how="response_format",
        needs_licence=False,
        max_input_tokens=None,
        embedding_dimensions=dimensions,
        request_form="json",
        run_output="openai_chat_completion",
        neurons_per_unit={},
    )


def model_list() -> dict[str, Any]:
    rows = [
        {"id": name, "object": "model", "created": 1_760_000_000, "owned_by": "sandbox"}
        for name in LISTED
    ]
    return {"object": "list", "data": rows}
