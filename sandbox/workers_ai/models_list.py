"""GET …/ai/models/search, as published: pages of models with their properties.

Tests have it answer otherwise than the catalogue file by PUT /__sandbox/models.
"""

from dataclasses import dataclass, field
from typing import Any
from uuid import NAMESPACE_URL, uuid5

# Flag of the file → property there.
_FLAGS = {
    "function_calling": "function_calling",
    "reasoning": "reasoning",
    "vision": "vision",
    "lora": "lora",
    "beta": "beta",
    "partner": "partner",
    "requires_paid_plan": "require_workers_paid",
    "async_queue": "async_queue",
}
_NUMBERS = {
    "context_window": "context_window",
    "max_input_tokens": "max_input_tokens",
    "embedding_dimensions": "output_dimensions",
}
_LARGEST_PAGE = 1000


@dataclass(slots=True)
class ModelsList:
    """changes: id → properties otherwise than in the file, or None: the model is not listed; ids
    that the file does not have are new. fails_at: the page that is answered with an error; 0:
    none. raw: in place of any answer."""

    rows: list[dict[str, Any]]
    changes: dict[str, dict[str, Any] | None] = field(default_factory=dict)
    fails_at: int = 0
    raw: str = ""

    def page(self, number: int, size: int) -> dict[str, Any]:
        """The body of an answer, in Cloudflare's envelope."""
        size = max(1, min(size, _LARGEST_PAGE))
        models = self._models()
        shown = models[(number - 1) * size : number * size]
        return {
            "success": True,
            "errors": [],
            "messages": [],
            "result": shown,
            # The total is not what it seems, as there.
            "result_info": {
                "page": number,
                "per_page": size,
                "count": len(shown),
                "total_count": len(models) // 2,
            },
        }

    def _models(self) -> list[dict[str, Any]]:
        listed = [row for row in self.rows if row["status"] == "active"]
        made = [
            _model(
                row["id"], row["task"], {**_properties(row), **(self.changes.get(row["id"]) or {})}
            )
            for row in listed
            if self.changes.get(row["id"], {}) is not None
        ]
        known = {row["id"] for row in listed}
        new = [
            _model(name, "Text Generation", properties)
            for name, properties in self.changes.items()
            if name not in known and properties is not None
        ]
        return made + new


def _model(name: str, task: str, properties: dict[str, Any]) -> dict[str, Any]:
    return {
        "id": str(uuid5(NAMESPACE_URL, name)),
        "source": 1,
        "name": name,
        "description": "",
        "task": {"id": str(uuid5(NAMESPACE_URL, task)), "name": task, "description": ""},
        "created_at": "2026-01-01 00:00:00",
        "tags": [],
        "properties": [{"property_id": key, "value": value} for key, value in properties.items()],
    }


def _properties(row: dict[str, Any]) -> dict[str, Any]:
    """Scalars are strings, and flags that are not set are left out."""
    found: dict[str, Any] = {
        theirs: str(row[ours]) for ours, theirs in _NUMBERS.items() if row[ours] is not None
    }
    found |= {theirs: "true" for ours, theirs in _FLAGS.items() if row["flags"].get(ours)}
    if row["pricing"]:
        found["price"] = [
            {"unit": price["label"], "price": float(price["usd"]), "currency": "USD"}
            for price in row["pricing"]
        ]
    return found
