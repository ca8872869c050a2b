"""Turns in PostgreSQL. All in the tenant's schema, which the caller is in.

A conversation has one turn at a time: `Conversation.active_turn`, set with the turn and cleared
with its end, both under a lock on the conversation's row. Whoever writes for a turn that is not
active any more is refused, so that a process that was taken for dead changes nothing.
"""

from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import orjson
from django.db import transaction

from agentflare.errors import GatewayError
from agents.conversations import services as conversations
from agents.conversations.models import Conversation, Item
from agents.conversations.objects import item_uuid, without_id
from agents.conversations.storage import ROW_BYTES, delete_items
from agents.turns import budget
from agents.turns.models import RUNNING, Turn, TurnLostError
from agents.turns.state import TurnState
from billing.usage.models import UsageRecord


class ConversationLockedError(GatewayError):
    """Another turn has it. Clients of OpenAI's retry a 409 by themselves."""

    status = 409
    type = "invalid_request_error"
    code = "conversation_locked"

    def __init__(self, active_turn: UUID) -> None:
        super().__init__(
            "Another turn is under way in this conversation. Retry when it has ended.",
            param="conversation",
            headers={"retry-after": "1", "retry-after-ms": "500"},
        )
        self.active_turn = active_turn


class TurnNotLastError(GatewayError):
    status = 409
    type = "invalid_request_error"
    code = "turn_not_last"

    def __init__(self) -> None:
        super().__init__(
            "Only the last turn of a conversation is made again. Fork the conversation instead.",
            headers={"x-should-retry": "false"},
        )


@dataclass(frozen=True, slots=True)
class NewTurn:
    """What is to begin. conversation_id: None: one of its own, or where `previous` goes on.

    replaces: the last turn, which it is made in place of. items: the input, as it is kept. params:
    what is told again with the answer. request_id: of its first call of an AI model.
    """

    id: UUID
    request_id: UUID
    model: str
    params: Mapping[str, Any]
    items: Sequence[Mapping[str, Any]]
    key_id: str
    conversation_id: UUID | None = None
    agent_id: UUID | None = None
    previous: UUID | None = None
    replaces: UUID | None = None
    is_background: bool = False
    is_stored: bool = True


@transaction.atomic
def begin(new: NewTurn) -> Turn:
    """The turn, and its input in the conversation, which it has for itself now.

    Raises ConversationLockedError, Conversation.DoesNotExist, Turn.DoesNotExist (of the previous
    one), or InvalidRequestError for an item that is too large.
    """
    conversation = _place_of(new)
    if conversation.active_turn is not None:
        raise ConversationLockedError(conversation.active_turn)
    if new.replaces is not None:
        _replace(conversation, new.replaces)
    turn = Turn.objects.create(
        id=new.id,
        conversation=conversation,
        agent_id=new.agent_id,
        status=Turn.Status.QUEUED if new.is_background else Turn.Status.IN_PROGRESS,
        model=new.model,
        params=orjson.dumps(new.params).decode(),
        is_background=new.is_background,
        is_stored=new.is_stored,
        previous=new.replaces or new.previous,
        key_id=new.key_id,
        steps=orjson.dumps([{"request_id": new.request_id.hex}]).decode(),
        first_position=conversation.next_position,
        end_position=conversation.next_position + len(new.items),
    )
    if new.items:
        conversations.add_items(conversation.pk, new.items, turn_id=turn.pk)
    Conversation.objects.filter(pk=conversation.pk).update(active_turn=turn.pk)
    return turn


def _place_of(new: NewTurn) -> Conversation:
    if new.conversation_id is not None:
        return Conversation.objects.select_for_update().get(
            pk=new.conversation_id, agent=new.agent_id
        )
    if new.previous is None:
        return Conversation.objects.create(is_hidden=True, size_bytes=ROW_BYTES)
    previous = Turn.objects.get(pk=new.previous, agent=None)
    conversation = Conversation.objects.select_for_update().get(pk=previous.conversation_id)
    is_last = conversation.next_position == previous.end_position
    if conversation.is_hidden and is_last and conversation.active_turn is None:
        return conversation
    return conversations.fork(
        conversation.pk, end_position=previous.end_position, metadata={}, is_hidden=True
    )


def _replace(conversation: Conversation, turn_id: UUID) -> None:
    """Nobody reads its items any more. Raises TurnNotLastError."""
    replaced = Turn.objects.get(pk=turn_id, conversation=conversation)
    items = Item.objects.filter(
        conversation=conversation, position__gte=replaced.first_position, is_replaced=False
    )
    if items.exclude(turn_id=turn_id).exists():
        raise TurnNotLastError
    items.update(is_replaced=True)


@transaction.atomic
def withdraw(turn_id: UUID) -> None:
    """It was refused before it began: as if it had not been asked for. A repeat changes nothing."""
    turn = Turn.objects.filter(pk=turn_id).first()
    if turn is None:
        return
    conversation = _locked_conversation(turn)
    items = Item.objects.filter(
        conversation=conversation, turn_id=turn_id, position__gte=turn.first_position
    )
    delete_items(conversation, items)
    if turn.agent_id and turn.previous:
        replaced = Item.objects.filter(conversation=conversation, turn_id=turn.previous)
        replaced.update(is_replaced=False)
    release(turn)
    turn.delete()
    _delete_if_empty(conversation)


def note_running(turn_id: UUID) -> None:
    """It is not queued any more."""
    Turn.objects.filter(pk=turn_id, status=Turn.Status.QUEUED).update(
        status=Turn.Status.IN_PROGRESS
    )


@transaction.atomic
def save(state: TurnState, *, saved: int) -> int:
    """What has come since: the items of `state.output` from `saved` on, and how the turn stands.
    Where it has ended, another may begin.

    Returns how many items are saved now. Raises TurnLostError; then nothing was written.
    """
    turn = _active(state.id)
    _add_output(turn, state.output[saved:])
    if state.unspent_nusd and turn.agent_id:
        budget.spend(turn.agent_id, cost_nusd=state.unspent_nusd)
    _write(turn, state)
    if not turn.is_active:
        release(turn)
    return len(state.output)


def spend_of_deleted(state: TurnState) -> None:
    """What a turn has cost that was deleted while it ran."""
    if state.unspent_nusd and state.agent_id and not Turn.objects.filter(pk=state.id).exists():
        with transaction.atomic():
            budget.spend(state.agent_id, cost_nusd=state.unspent_nusd)


@transaction.atomic
def resume(turn_id: UUID, results: Sequence[Mapping[str, Any]], *, request_id: UUID) -> Turn:
    """A turn that waited has the results of its tools, and goes on.

    results: items. Raises Turn.DoesNotExist where it does not wait; a repeat does.
    """
    turn = Turn.objects.get(pk=turn_id)
    _locked_conversation(turn)
    waiting = Turn.objects.select_related("conversation").select_for_update(of=("self",))
    turn = waiting.get(pk=turn_id, status=Turn.Status.REQUIRES_ACTION)
    rows = conversations.add_items(turn.conversation_id, results, turn_id=turn.pk)
    turn.end_position = rows[-1].position + 1
    turn.status = Turn.Status.IN_PROGRESS
    turn.steps = orjson.dumps([*orjson.loads(turn.steps), {"request_id": request_id.hex}]).decode()
    turn.save()
    return turn


@transaction.atomic
def suspend_again(turn_id: UUID, *, results: int) -> None:
    """It was refused before it went on: it waits as before. results: how many items came."""
    turn = _active(turn_id)
    added = Item.objects.filter(conversation=turn.conversation_id, turn_id=turn_id)
    newest = added.order_by("-position").values_list("pk", flat=True)[:results]
    delete_items(turn.conversation, Item.objects.filter(pk__in=list(newest)))
    turn.status = Turn.Status.REQUIRES_ACTION
    turn.steps = orjson.dumps(orjson.loads(turn.steps)[:-1]).decode()
    turn.save()


@transaction.atomic
def cancel_waiting(turn_id: UUID) -> bool:
    """Whether it waited; then it has ended, and another may begin."""
    turn = Turn.objects.filter(pk=turn_id).first()
    if turn is None:
        return False
    _locked_conversation(turn)
    waiting = Turn.objects.select_for_update().filter(
        pk=turn_id, status=Turn.Status.REQUIRES_ACTION
    )
    if not waiting.update(status=Turn.Status.CANCELLED, finished_at=datetime.now(UTC)):
        return False
    release(turn)
    return True


@transaction.atomic
def end_for_dead(state: TurnState) -> bool:
    """Its process is dead. state: all that was delivered, and how it ended.

    Whether it had not ended yet; else nothing was changed.
    """
    try:
        turn = _active(state.id)
    except TurnLostError:
        return False
    state.reserved_nusd, state.steps = turn.reserved_nusd, orjson.loads(turn.steps)
    there = set(
        Item.objects.filter(
            conversation=turn.conversation_id, turn_id=turn.pk, is_output=True
        ).values_list("pk", flat=True)
    )
    new = [item for item in state.output if item_uuid(item["id"]) not in there]
    _add_output(turn, new)
    _write(turn, state)
    release(turn)
    return True


@transaction.atomic
def delete(turn_id: UUID) -> bool:
    """Whether it was there. Its items stay while other turns of the conversation know them."""
    turn = Turn.objects.filter(pk=turn_id).first()
    if turn is None:
        return False
    conversation = _locked_conversation(turn)
    release(turn)
    turn.delete()
    _delete_if_empty(conversation)
    return True


def learn_costs(turn: Turn) -> None:
    """Of a turn whose process died nobody could write down what its last call cost: its usage
    record says it, once the call is settled. Once it is known nothing is asked."""
    if turn.is_running or not _unknown_steps(orjson.loads(turn.steps)):
        return
    with transaction.atomic():
        # Several may learn it at once.
        locked = Turn.objects.select_for_update().filter(pk=turn.pk).first()
        if locked is None or locked.is_running:
            return
        if _unknown_steps(orjson.loads(locked.steps)):
            _learn(locked)
    for name in _LEARNT:
        setattr(turn, name, getattr(locked, name))


_LEARNT = (
    *("steps", "cost_nusd", "input_tokens", "cached_tokens"),
    *("output_tokens", "reasoning_tokens", "reserved_nusd"),
)


def _learn(turn: Turn) -> None:
    """turn: locked."""
    steps = orjson.loads(turn.steps)
    unknown = _unknown_steps(steps)
    records = UsageRecord.objects.filter(request_id__in=[UUID(hex=each) for each in unknown])
    learnt_nusd = 0
    for record in records:
        unknown[record.request_id.hex]["cost_nusd"] = record.cost_nusd
        learnt_nusd += record.cost_nusd
        turn.input_tokens += record.input_tokens + record.cached_input_tokens
        turn.cached_tokens += record.cached_input_tokens
        turn.output_tokens += record.output_tokens
        turn.reasoning_tokens += record.reasoning_tokens
    if turn.agent_id and turn.reserved_nusd and learnt_nusd:
        budget.spend(turn.agent_id, cost_nusd=learnt_nusd)
    if not _unknown_steps(steps):
        turn.reserved_nusd = 0
    turn.cost_nusd += learnt_nusd
    turn.steps = orjson.dumps(steps).decode()
    turn.save(update_fields=_LEARNT)


def _unknown_steps(steps: list[dict[str, Any]]) -> dict[str, dict[str, Any]]:
    return {step["request_id"]: step for step in steps if "cost_nusd" not in step}


def note_step(turn_id: UUID, steps: Sequence[Mapping[str, Any]]) -> None:
    """Before the call is made: whoever heals the turn must know of it. Raises TurnLostError."""
    told = orjson.dumps(list(steps)).decode()
    if not Turn.objects.filter(pk=turn_id, status__in=RUNNING).update(steps=told):
        raise TurnLostError(turn_id.hex)


def release(turn: Turn) -> None:
    Conversation.objects.filter(pk=turn.conversation_id, active_turn=turn.pk).update(
        active_turn=None
    )


def _locked_conversation(turn: Turn) -> Conversation:
    """Locked before its turn is, by everybody. Raises Conversation.DoesNotExist."""
    return Conversation.objects.select_for_update().get(pk=turn.conversation_id)


def _active(turn_id: UUID) -> Turn:
    """Locked, after its conversation, as everybody locks them. Raises TurnLostError."""
    turn = Turn.objects.filter(pk=turn_id).first()
    if turn is not None:
        # Both may be deleted meanwhile.
        with suppress(Conversation.DoesNotExist):
            _locked_conversation(turn)
        turn = Turn.objects.select_for_update().filter(pk=turn_id, status__in=RUNNING).first()
    if turn is None:
        raise TurnLostError(turn_id.hex)
    return turn


def _add_output(turn: Turn, items: Sequence[Mapping[str, Any]]) -> None:
    if not items:
        return
    rows = conversations.add_items(
        turn.conversation_id, [without_id(item) for item in items], turn_id=turn.pk, ids=_ids(items)
    )
    if rows:
        turn.end_position = rows[-1].position + 1


def _write(turn: Turn, state: TurnState) -> None:
    turn.status = state.status
    turn.steps = orjson.dumps(state.steps).decode()
    turn.error = orjson.dumps(state.error).decode() if state.error else ""
    turn.incomplete_reason = state.incomplete_reason
    turn.input_tokens = state.usage.prompt_tokens
    turn.cached_tokens = state.usage.cached_tokens
    turn.output_tokens = state.usage.completion_tokens
    turn.reasoning_tokens = state.usage.reasoning_tokens
    turn.cost_nusd = state.cost_nusd
    turn.next_event = state.next_event
    turn.reserved_nusd = state.reserved_nusd
    if state.finished_at is not None:
        turn.finished_at = datetime.fromtimestamp(state.finished_at, UTC)
    turn.save()


def _delete_if_empty(conversation: Conversation) -> None:
    if conversation.is_hidden and not conversation.turns.exists():
        conversation.delete()


def _ids(items: Sequence[Mapping[str, Any]]) -> list[UUID]:
    return [found for item in items if (found := item_uuid(item["id"]))]
