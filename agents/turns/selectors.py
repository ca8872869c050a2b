"""Reading turns, in the tenant's schema, which the caller is in."""

from typing import Any
from uuid import UUID

import orjson

from agents.conversations.models import Item
from agents.conversations.objects import item_object
from agents.turns.models import Turn
from agents.turns.state import TurnState
from inference.chat.events import Usage

# Items that are read at once of a history.
_PAGE = 200


def state_of(turn: Turn) -> TurnState:
    """As it is kept: with all that has come, where it has ended."""
    return TurnState(
        id=turn.pk,
        model=turn.model,
        status=turn.status,
        finished_at=turn.finished_at.timestamp() if turn.finished_at else None,
        output=[item_object(item) for item in items_of(turn, is_output=True)],
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
            for item in items_of(turn, is_output=False).filter(type="function_call_output")
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
    """Items before a position, the oldest first: as many as make so many messages, and more.

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
        page = list(rows.order_by("-position")[:_PAGE])
        for item in page:
            found.append(item.content)
            messages += item.type in {"message", "function_call_output"}
            until = item.position
        if len(page) < _PAGE:
            break
    found.reverse()
    return _without_half_calls(found)


def _without_half_calls(items: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Results whose calls stand further up than was read are left out with them."""
    calls = {item["call_id"] for item in items if item["type"] == "function_call"}
    return [
        item for item in items if item["type"] != "function_call_output" or item["call_id"] in calls
    ]


def page_of(
    items: Any, *, after: UUID | None, limit: int, newest_first: bool
) -> tuple[list[Item], bool]:
    """A page of a turn's items, and whether more follow."""
    if after is not None:
        position = Item.objects.values_list("position", flat=True).get(pk=after)
        items = items.filter(**{"position__lt" if newest_first else "position__gt": position})
    rows = list(items.order_by("-position" if newest_first else "position")[: limit + 1])
    return rows[:limit], len(rows) > limit
