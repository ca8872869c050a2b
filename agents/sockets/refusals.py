"""From an exception while a message is obeyed to what its client is told."""

import logging
from typing import Any
from uuid import UUID

from agentflare.api import as_gateway_error
from agentflare.errors import GatewayError
from inference.refused import note_unless_admitted
from tenants.keys.lookup import KeyRecord

logger = logging.getLogger(__name__)


class Asked:
    """A message in a request's place: what a refused call is noted of."""

    def __init__(self, number: UUID, path: str) -> None:
        self.id = number
        self.path = path


def refusal_of(exc: Exception, asked: Asked, record: KeyRecord | None) -> GatewayError:
    """Also counts it among the refused calls. record: None: it was not known yet."""
    error = as_gateway_error(exc)
    if error is None:
        logger.error("A message over a WebSocket broke us", exc_info=exc)
        error = GatewayError(
            "The server had an error while processing your message. If it happens again, tell us "
            f"that it was req_{asked.id.hex}."
        )
    if record is not None:
        note_unless_admitted(asked, record, error)  # type: ignore[arg-type]
    return error


def error_message(error: GatewayError, **more: Any) -> dict[str, Any]:
    return {"type": "error", **more, "status": error.status, **error.body()}
