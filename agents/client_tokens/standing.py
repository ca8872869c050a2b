"""Whether somebody who was let in still is: asked again and again while a WebSocket or a stream is
open."""

from collections.abc import Callable

from django.db import InterfaceError, OperationalError

from agentflare.connections import given_back
from agentflare.errors import GatewayError
from agentflare.redis_store import RedisDownError


def refusal_by(check: Callable[[], object]) -> GatewayError | None:
    """What `check` refuses with. Who was let in stays while nobody can say otherwise."""
    try:
        with given_back():
            check()
    except GatewayError as error:
        return error
    except (*RedisDownError, OperationalError, InterfaceError):
        return None
    return None
