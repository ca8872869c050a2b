"""The AI models and their prices, read from the product's catalogue data file."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import Any

from sandbox.workers_ai.errors import DeprecatedModelError, NoSuchModelError

DEFAULT_NATIVE_MAX_TOKENS = 256


@dataclass(frozen=True, kw_only=True)
class Model:
    """One AI model of the catalogue.

    native: answers `{"response": …}` on /ai/run; otherwise a chat.completion object.
    neurons_per_unit: by unit of the price row ("input_tokens", "output_tokens", …).
    json_mode_how: "response_format", "guided_json" or None.
    """

    id: str
    kind: str
    native: bool
    context_window: int | None
    default_max_tokens: int | None
    has_tools: bool
    has_reasoning: bool
    has_vision: bool
    json_mode_how: str | None
    needs_licence: bool
    max_input_tokens: int | None
    embedding_dimensions: int | None
    request_form: str
    run_output: str
    neurons_per_unit: Mapping[str, Decimal]

    @classmethod
    def from_row(cls, row: dict[str, Any]) -> "Model":
        flags = row["flags"]
        native = row["run_output"] == "native_response"
        default_max_tokens = row["default_max_tokens"]
        if default_max_tokens is None and native:
            default_max_tokens = DEFAULT_NATIVE_MAX_TOKENS
        return cls(
            id=row["id"],
            kind=row["kind"],
            native=native,
            context_window=row["context_window"],
            default_max_tokens=default_max_tokens,
            has_tools=bool(flags["function_calling"]),
            has_reasoning=bool(flags["reasoning"]),
            has_vision=bool(flags["vision"]),
            json_mode_how=(flags["json_mode_how"] or "").split(" ")[0] or None,
            needs_licence="5016" in " ".join(row["notes"] or []),
            max_input_tokens=row["max_input_tokens"],
            embedding_dimensions=row["embedding_dimensions"],
            request_form=row["request_form"],
            run_output=row["run_output"],
            neurons_per_unit=neurons_per_unit(row["pricing"] or []),
        )

    @property
    def published_id(self) -> str:
        """The `model` of its answers, which differs for one family."""
        return f"{self.id}-external" if "/gemma-4" in self.id else self.id

    @property
    def reasoning_field(self) -> str:
        """The key of its reasoning text: engines differ, and so do models."""
        uses_short_name = any(name in self.id for name in ("/gemma-4", "/nemotron-3", "/gpt-oss"))
        return "reasoning" if uses_short_name else "reasoning_content"

    def neurons(
        self, *, prompt_tokens: int, cached_tokens: int, completion_tokens: int
    ) -> Decimal | None:
        """Neurons of one call, exactly; None when the catalogue has no price.

        Cached tokens cost the full rate where no cached rate is published.
        """
        rates = self.neurons_per_unit
        if "input_tokens" not in rates or "output_tokens" not in rates:
            return None
        input_rate = rates["input_tokens"]
        cached_rate = rates.get("cached_input_tokens", input_rate)
        return (
            (prompt_tokens - cached_tokens) * input_rate
            + cached_tokens * cached_rate
            + completion_tokens * rates["output_tokens"]
        )

    def cost(self, quantities: Mapping[str, Decimal | int]) -> Decimal | None:
        """Neurons of quantities by unit, exactly; None when the catalogue has no price.

        A unit that is not priced costs nothing.
        """
        rates = self.neurons_per_unit
        if not rates:
            return None
        nothing = Decimal(0)
        return sum(
            (rates.get(unit, nothing) * quantity for unit, quantity in quantities.items()), nothing
        )


def neurons_per_unit(pricing: list[dict[str, Any]]) -> dict[str, Decimal]:
    rates: dict[str, Decimal] = {}
    for row in pricing:
        neurons = row.get("neurons")
        if neurons is None:
            neurons = row.get("neurons_derived")
        if neurons is not None:
            rates[row["unit"]] = Decimal(neurons) / Decimal(row["per"])
    return rates


class Catalogue:
    """AI models by id, with what became of those no longer served."""

    def __init__(self, rows: list[dict[str, Any]]) -> None:
        self._models = {row["id"]: Model.from_row(row) for row in rows}
        self._gone = {
            row["id"]: row["deprecated"] or {}
            for row in rows
            if row["status"] in ("retired", "delisted")
        }

    @classmethod
    def load(cls, path: Path) -> "Catalogue":
        # Decimal from the digits in the file: no float ever holds a price.
        return cls(json.loads(path.read_text(), parse_float=Decimal))

    def live(self) -> list[Model]:
        """The models that are served."""
        return [model for model in self._models.values() if model.id not in self._gone]

    def resolve(self, model_id: str) -> Model:
        """The model that answers for `model_id`; an alias gives the model it leads to.

        Raises NoSuchModelError or, for a retired one, DeprecatedModelError.
        """
        gone = self._gone.get(model_id)
        if gone is not None and gone.get("effect") == "aliased":
            return self.resolve(gone["replaced_by"])
        if gone is not None and gone.get("date"):
            raise DeprecatedModelError(gone["date"])
        model = self._models.get(model_id)
        if model is None or gone is not None:
            raise NoSuchModelError(model_id)
        return model
