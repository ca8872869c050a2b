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


def path_parameter(name: str, description: str, example: str) -> dict[str, Any]:
    return {
        "name": name,
        "in": "path",
        "required": True,
        "description": description,
        "schema": {"type": "string", "minLength": 1},
        "example": example,
    }
