"""Reading a turn's events from any of them on, in any process, until the last one."""

import time
from collections.abc import Callable, Iterator
from uuid import UUID

import orjson

from agentflare.connections import given_back
from agentflare.errors import GatewayError
from agents.client_tokens.standing import refusal_by
from agents.turns import event_log
from agents.turns.event_log import Entry
from agents.turns.healing import heal_if_dead
from agents.turns.models import Turn
from agents.turns.sse import KEEP_ALIVE, sse_of
from tenants.registry.schemas import tenant_schema

# How long nothing comes before it is asked whether anybody still works at the turn.
_LOOK_S = 3.0
_KEEP_ALIVE_S = 15.0
_CHECK_S = 1.0


class EventsGoneError(GatewayError):
    status = 404
    type = "invalid_request_error"
    code = "events_not_kept"

    def __init__(self) -> None:
        super().__init__(
            "The events of this turn are not kept any more. Read the whole of it without streaming."
        )


def entries_of(tenant_code: str, turn_id: UUID, *, after: int) -> Iterator[list[Entry]]:
    """As event_log.follow, of a turn that ends even where its process has died.

    Raises EventsGoneError, RedisDownError.
    """
    looked_at = time.monotonic()
    for entries in event_log.follow(tenant_code, turn_id, after=after):
        now = time.monotonic()
        if entries:
            looked_at = now
        elif now - looked_at > _LOOK_S:
            looked_at = now
            # Where it has ended, its last event is there, or was.
            try:
                require_events(tenant_code, turn_id)
            except Turn.DoesNotExist:
                return  # deleted meanwhile
        yield entries


def follow_turn(
    tenant_code: str, turn_id: UUID, *, after: int, check: Callable[[], object] | None = None
) -> Iterator[bytes]:
    """Server-sent events.

    check: asked every second whether its reader is still let in; raises GatewayError where not,
    which is the last event then. Raises EventsGoneError before the first of them, or
    RedisDownError.
    """
    require_events(tenant_code, turn_id)
    return _stream(tenant_code, turn_id, after, check)


def require_events(tenant_code: str, turn_id: UUID) -> None:
    """Also heals a turn that was left. Raises EventsGoneError where there are none, and none will
    come."""
    if turn_id in event_log.logs:
        return
    with given_back(), tenant_schema(tenant_code):
        turn = heal_if_dead(tenant_code, Turn.objects.get(pk=turn_id))
    if turn.is_running or event_log.is_kept(tenant_code, turn_id):
        return
    raise EventsGoneError


def _stream(
    tenant_code: str, turn_id: UUID, after: int, check: Callable[[], object] | None
) -> Iterator[bytes]:
    told_at = checked_at = time.monotonic()
    for entries in entries_of(tenant_code, turn_id, after=after):
        if check is not None and time.monotonic() - checked_at > _CHECK_S:
            checked_at = time.monotonic()
            if refusal := refusal_by(check):
                yield sse_of("error", None, orjson.dumps({"type": "error", **refusal.body()}))
                return
        if entries:
            told_at = time.monotonic()
            yield b"".join(map(_sse, entries))
        elif time.monotonic() - told_at > _KEEP_ALIVE_S:
            # A client that has left is noticed at a write.
            told_at = time.monotonic()
            yield KEEP_ALIVE


def _sse(entry: Entry) -> bytes:
    body = entry.body.encode()
    return sse_of(orjson.loads(body)["type"], entry.number, body)
