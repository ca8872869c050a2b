"""What a workspace's export has of its agents and conversations (billing/exports)."""

from collections.abc import Iterator
from typing import Any
from uuid import UUID

import orjson
from django.db.models import Q

from agentflare.money import format_usd
from agents.agent_conversations.objects import turn_id
from agents.conversations.models import Conversation, Item
from agents.conversations.objects import conversation_object, item_object
from agents.conversations.selectors import within
from agents.definitions.models import Agent
from agents.definitions.objects import agent_id, agent_object
from agents.turns.models import Turn
from billing.exports.content import Part

_BATCH = 500


def parts() -> list[Part]:
    """In the tenant's schema. No secret of a tool is in them."""
    told = "a JSON object a line"
    return [
        Part("agents.jsonl", _agents, f"agents, {told}"),
        Part("conversations.jsonl", _conversations, f"conversations, {told}"),
        Part("items.jsonl", _items, f"their messages, calls of tools and results, {told}"),
        Part("turns.jsonl", _turns, f"turns and responses with what they cost, {told}"),
    ]


def _agents() -> Iterator[bytes]:
    yield _lines(agent_object(agent) for agent in Agent.objects.order_by("pk"))


def _conversations() -> Iterator[bytes]:
    for page in _by_id(Conversation):
        yield _lines(
            {
                **conversation_object(row),
                "agent_id": agent_id(row.agent_id) if row.agent_id else None,
                "end_user": row.end_user,
                "title": row.title,
                "summary": row.summary,
            }
            for row in page
        )


def _items() -> Iterator[bytes]:
    """By conversation and position, whose index the pages follow."""
    rows = Item.objects.filter(is_replaced=False).order_by("conversation_id", "position")
    page, _ = within(rows[:_BATCH])
    while page:
        yield _lines({"conversation": _conversation_id(row), **item_object(row)} for row in page)
        last = page[-1]
        same = Q(conversation=last.conversation_id, position__gt=last.position)
        page, _ = within(rows.filter(same)[:_BATCH])
        if not page:
            page, _ = within(rows.filter(conversation__gt=last.conversation_id)[:_BATCH])


def _turns() -> Iterator[bytes]:
    for page in _by_id(Turn):
        yield _lines(
            {
                "id": turn_id(row.pk),
                "conversation": _conversation_id(row),
                "agent_id": agent_id(row.agent_id) if row.agent_id else None,
                "status": row.status,
                "model": row.model,
                "created_at": int(row.created_at.timestamp()),
                "finished_at": int(row.finished_at.timestamp()) if row.finished_at else None,
                "cost": format_usd(row.cost_nusd),
                "steps": orjson.loads(row.steps),
                "asked": row.asked,
            }
            for row in page
        )


def _conversation_id(row: Item | Turn) -> str:
    return f"conv_{row.conversation_id.hex}"


def _by_id(model: Any) -> Iterator[list[Any]]:
    last = UUID(int=0)
    while page := list(model.objects.filter(pk__gt=last).order_by("pk")[:_BATCH]):
        last = page[-1].pk
        yield page


def _lines(rows: Any) -> bytes:
    return b"".join(orjson.dumps(row) + b"\n" for row in rows)
