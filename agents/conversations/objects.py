"""What clients read, and the ids by which they ask."""

from collections.abc import Mapping
from typing import Any
from uuid import UUID

from agents.conversations.models import Conversation, Item

# As OpenAI's ids begin, by the item's type.
_PREFIXES = {
    "message": "msg",
    "function_call": "fc",
    "function_call_output": "fco",
    "reasoning": "rs",
}


def conversation_object(conversation: Conversation) -> dict[str, Any]:
    forked = conversation.forked_from
    return {
        "id": f"conv_{conversation.pk.hex}",
        "object": "conversation",
        "created_at": int(conversation.created_at.timestamp()),
        "metadata": conversation.metadata,
        **({"forked_from": f"conv_{forked.hex}"} if forked else {}),
    }


def item_object(item: Item) -> dict[str, Any]:
    return {"id": item_id(item), **item.content}


def without_id(item: Mapping[str, Any]) -> dict[str, Any]:
    """As an item is kept."""
    return {name: value for name, value in item.items() if name != "id"}


def item_id(item: Item) -> str:
    return new_item_id(item.type, item.pk)


def new_item_id(kind: str, number: UUID) -> str:
    return f"{_PREFIXES[kind]}_{number.hex}"


def list_object(data: list[dict[str, Any]], *, has_more: bool) -> dict[str, Any]:
    """The ids of an empty page are empty: OpenAI's schema has no null there."""
    return {
        "object": "list",
        "data": data,
        "first_id": data[0]["id"] if data else "",
        "last_id": data[-1]["id"] if data else "",
        "has_more": has_more,
    }


def uuid_of(text: str, *prefixes: str) -> UUID | None:
    """None: no id of ours."""
    prefix, _, number = text.partition("_")
    if prefix not in prefixes or len(number) != 32:
        return None
    try:
        return UUID(hex=number)
    except ValueError:
        return None


def item_uuid(text: str) -> UUID | None:
    return uuid_of(text, *_PREFIXES.values())
