"""Reading turns, in the tenant's schema, which the caller is in."""

from collections.abc import Sequence
from typing import Any
from uuid import UUID

import orjson
from django.db.models import Q

from agents.conversations.models import Item
from agents.conversations.objects import item_object
from agents.conversations.selectors import within
from agents.turns.models import Turn
from agents.turns.state import TurnState
from inference.chat.events import Usage

# Items that are read at once of a history.
_PAGE = 200


def state_of(turn: Turn) -> TurnState:
    """As it is kept: with all that has come, where it has ended."""
    return states_of([turn])[0]


def states_of(turns: Sequence[Turn]) -> list[TurnState]:
    """Of turns of one conversation, in their order; one statement for all of them."""
    if not turns:
        return []
    items: dict[UUID | None, list[Item]] = {turn.pk: [] for turn in turns}
    rows = Item.objects.filter(
        conversation=turns[0].conversation_id,
        position__gte=min(turn.first_position for turn in turns),
        position__lt=max(turn.end_position for turn in turns),
        turn_id__in=list(items),
    ).filter(Q(is_output=True) | Q(type="function_call_output"))
    for item in rows.order_by("position"):
        items[item.turn_id].append(item)
    return [_state(turn, items[turn.pk]) for turn in turns]


def _state(turn: Turn, items: Sequence[Item]) -> TurnState:
    return TurnState(
        id=turn.pk,
        model=turn.model,
        status=turn.status,
        finished_at=turn.finished_at.timestamp() if turn.finished_at else None,
        output=[item_object(item) for item in items if item.is_output],
        usage=Usage(
            prompt_tokens=turn.input_tokens,
            cached_tokens=turn.cached_tokens,
            completion_tokens=turn.output_tokens,
            reasoning_tokens=turn.reasoning_tokens,
        ),
        has_usage=bool(turn.input_tokens or turn.output_tokens),
        cost_nusd=turn.cost_nusd,
        error=orjson.loads(turn.error) if turn.error else None,
        incomplete_reason=turn.incomplete_reason,
        steps=orjson.loads(turn.steps),
        conversation_id=turn.conversation_id,
        agent_id=turn.agent_id,
        next_event=turn.next_event,
        reserved_nusd=turn.reserved_nusd,
        answered={
            item.content["call_id"]
            for item in items
            if not item.is_output and item.type == "function_call_output"
        },
    )


def items_of(turn: Turn, *, is_output: bool) -> Any:
    """By position: others' items may stand between them."""
    return Item.objects.filter(
        conversation=turn.conversation_id,
        position__gte=turn.first_position,
        position__lt=turn.end_position,
        turn_id=turn.pk,
        is_output=is_output,
    )


def all_items_of(turn: Turn) -> list[dict[str, Any]]:
    """Its input and output, in order."""
    items = Item.objects.filter(
        conversation=turn.conversation_id,
        position__gte=turn.first_position,
        position__lt=turn.end_position,
        turn_id=turn.pk,
    )
    return [item.content for item in items.order_by("position")]


def last_items(conversation_id: UUID, *, until: int, most_messages: int) -> list[dict[str, Any]]:
    """Items before a position, the oldest first: as many as make so many messages, and more; of
    no more bytes than any model reads.

    A history of any length costs no more than that.
    """
    found: list[dict[str, Any]] = []
    if until == 0:
        return found
    messages = 0
    while messages <= most_messages:
        rows = Item.objects.filter(
            conversation=conversation_id, position__lt=until, is_replaced=False
        )
        page, is_all = within(rows.order_by("-position")[:_PAGE])
        for item in page:
            found.append(item.content)
            messages += item.type in {"message", "function_call_output"}
            until = item.position
        if len(page) < _PAGE or not is_all:
            break
    found.reverse()
    return _without_half_calls(found)


def _without_half_calls(items: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Results whose calls stand further up than was read are left out with them."""
    calls = {item["call_id"] for item in items if item["type"] == "function_call"}
    return [
        item for item in items if item["type"] != "function_call_output" or item["call_id"] in calls
    ]
