"""What most operations have in common."""

from typing import Any

from inference.reference.operation import Operation
from inference.reference.refusals import CALLS_A_MODEL
from inference.views import CACHE_HEADER, SHRINK_HEADER

JSON = "application/json"
EVENTS = "text/event-stream"
FORM = "multipart/form-data"
TEXT = "text/plain"
POST_HEADERS = ("Idempotency-Key", CACHE_HEADER, SHRINK_HEADER)


def calls_a_model(**told: Any) -> Operation:
    """A POST that is charged."""
    return Operation(
        **{"method": "post", "refusals": CALLS_A_MODEL, "headers": POST_HEADERS, **told}
    )


def query_parameter(name: str, description: str, schema: dict[str, Any]) -> dict[str, Any]:
    return {"name": name, "in": "query", "description": description, "schema": schema}


def limit_parameter(default: int, most: int) -> dict[str, Any]:
    """Of a list that comes in pages."""
    return query_parameter(
        "limit",
        f"How many at most; {default} unless said.",
        {"type": "integer", "minimum": 1, "maximum": most},
    )


AFTER = query_parameter("after", "The `last_id` of the page before.", {"type": "string"})


def path_parameter(name: str, description: str, example: str) -> dict[str, Any]:
    return {
        "name": name,
        "in": "path",
        "required": True,
        "description": description,
        "schema": {"type": "string", "minLength": 1},
        "example": example,
    }
