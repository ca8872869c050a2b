"""Ending turns whose process has died: what was delivered is kept, and their readers are told.

What they cost is not decided here: the hold of a call whose process died is captured for what was
delivered (billing.settlement), and its usage record has the request id of the step.
"""

import logging
from collections.abc import Iterable
from contextlib import suppress
from typing import Any
from uuid import UUID

import orjson
from django.conf import settings
from kombu.exceptions import OperationalError

from agentflare.redis_store import get_redis
from agents.turns import event_log, leases, services
from agents.turns.event_log import Ends, Entry
from agents.turns.faces import face_of, lifecycle_event, number
from agents.turns.models import Turn
from agents.turns.selectors import state_of
from agents.turns.services import NewTurn
from agents.turns.state import TurnState
from agents.turns.tasks import learn_costs_task
from tenants.registry.models import Tenant
from tenants.registry.schemas import tenant_schema

logger = logging.getLogger(__name__)
_WHOLE = {"response.output_item.added", "response.output_item.done"}
_DELTAS = {
    "response.output_text.delta": "text",
    "response.reasoning_text.delta": "text",
    "response.refusal.delta": "refusal",
}


def heal_if_dead(tenant_code: str, turn: Turn) -> Turn:
    """The turn as it stands, ended where nobody works at it any more. In the tenant's schema.

    Raises RedisDownError: then nobody knows.
    """
    if not turn.is_running or leases.is_alive(tenant_code, turn.pk):
        return turn
    heal(tenant_code, turn.pk)
    return Turn.objects.get(pk=turn.pk)


def begin_or_heal(tenant_code: str, new: NewTurn) -> Turn:
    """As services.begin, where the turn that has the conversation may have been left."""
    try:
        return services.begin(new)
    except services.ConversationLockedError as locked:
        active = Turn.objects.filter(pk=locked.active_turn).first()
        if active is not None and heal_if_dead(tenant_code, active).is_running:
            raise
    return services.begin(new)


def heal_all() -> int:
    """Every turn that was left, of all tenants. Returns how many there were."""
    count = 0
    for tenant_code, turn_id in leases.ended():
        if not Tenant.objects.filter(code=tenant_code).exists():
            leases.give_back(tenant_code, turn_id)
            continue
        try:
            with tenant_schema(tenant_code):
                count += heal(tenant_code, turn_id)
        except Exception:  # one that cannot be healed must not keep the others from it
            logger.exception("Turn %s cannot be healed", turn_id.hex)
    return count


def heal(tenant_code: str, turn_id: UUID) -> bool:
    """End it as `interrupted`, or as its last event says where only PostgreSQL does not know yet.

    In the tenant's schema. Whether it had not ended. Raises RedisDownError.
    """
    turn = Turn.objects.filter(pk=turn_id).first()
    if turn is None or not turn.is_running:
        leases.give_back(tenant_code, turn_id)
        return False
    entries = _all_entries(tenant_code, turn_id)
    state = state_of(turn)
    has_ended = bool(entries) and entries[-1].ends is Ends.ALL
    _take_delivered(state, entries)
    if not has_ended:
        state.end(Turn.Status.INTERRUPTED)
    if not services.end_for_dead(state):
        return False
    _learn_costs_later(tenant_code, turn_id)
    logger.warning("Turn %s was left by its process: %s", turn_id.hex, state.status)
    if not has_ended:
        tell_end(tenant_code, Turn.objects.get(pk=turn_id))
    leases.give_back(tenant_code, turn_id)
    return True


def _learn_costs_later(tenant_code: str, turn_id: UUID) -> None:
    """When the hold of its last call has run out, and is settled. Who reads it then learns, too."""
    with suppress(OperationalError):
        learn_costs_task.apply_async(
            (tenant_code, turn_id.hex), countdown=settings.HOLD_TTL_S * 4, retry=False
        )


def _all_entries(tenant_code: str, turn_id: UUID) -> list[Entry]:
    found: list[Entry] = []
    while page := event_log.entries_after(tenant_code, turn_id, found[-1].number if found else -1):
        found += page
    return found


def _take_delivered(state: TurnState, entries: Iterable[Entry]) -> None:
    """The output as its events tell it."""
    output: dict[int, dict[str, Any]] = {}
    for entry in entries:
        event = orjson.loads(entry.body)
        _take(event, output)
        if entry.ends is Ends.ALL:
            _take_end(state, event)
    delivered = [item for _, item in sorted(output.items())]
    for item in delivered:
        if item.get("status") == "in_progress":
            item["status"] = "incomplete"
    there = {item["id"] for item in state.output}
    state.output += [item for item in delivered if item["id"] not in there]


def _take(event: dict[str, Any], output: dict[int, dict[str, Any]]) -> None:
    kind = event["type"]
    if "output_index" in event and kind not in _WHOLE and event["output_index"] not in output:
        return  # its beginning is gone
    if kind in _WHOLE:
        output[event["output_index"]] = event["item"]
    elif kind == "response.content_part.added":
        output[event["output_index"]]["content"].append(event["part"])
    elif kind in _DELTAS:
        part = output[event["output_index"]]["content"][event["content_index"]]
        part[_DELTAS[kind]] += event["delta"]
    elif kind == "response.function_call_arguments.delta":
        output[event["output_index"]]["arguments"] += event["delta"]


def _take_end(state: TurnState, event: dict[str, Any]) -> None:
    """What the last event says of the whole."""
    told = event.get("response") or event.get("turn") or {}
    status = told.get("status", "")
    state.end(status if status in Turn.Status.values else Turn.Status.INTERRUPTED)
    state.error = told.get("error")
    state.incomplete_reason = (told.get("incomplete_details") or {}).get("reason") or ""


def tell_end(tenant_code: str, turn: Turn) -> None:
    """The last event of a turn that no process works at. In the tenant's schema. A repeat changes
    nothing. Raises RedisDownError."""
    entries = _all_entries(tenant_code, turn.pk)
    face, state = face_of(turn), state_of(turn)
    if entries:
        state.next_event = entries[-1].number + 1
    event = number(lifecycle_event(face, state, face.outcome(state)), face, state)
    pipeline = get_redis().pipeline()
    entry = Entry(event["sequence_number"], orjson.dumps(event).decode(), Ends.ALL)
    event_log.add_entry(pipeline, event_log.log_key(tenant_code, turn.pk), entry)
    pipeline.execute()
