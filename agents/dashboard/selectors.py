"""What the pages of agents show. In the tenant's schema, which the caller is in."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import orjson
from django.db.models import Count, Max, Q, QuerySet, Sum

from agents.conversations.models import Conversation, Item
from agents.conversations.objects import item_object, uuid_of
from agents.definitions.models import Agent
from agents.turns.models import Turn
from agents.turns.services import learn_costs
from billing.usage.models import UsageRecord

# Items of a conversation on its page; a page of the newest.
PAGE_ITEMS = 200
# Of one agent, the newest, that a search for words in their messages looks at.
SEARCHED = 1_000


@dataclass(slots=True)
class AgentRow:
    agent: Agent
    conversations: int
    turns: int
    cost_nusd: int
    last_at: datetime | None


@dataclass(slots=True)
class TurnRow:
    """steps: its calls, as the usage records have them; None: not settled yet."""

    turn: Turn
    items: list[dict[str, Any]] = field(default_factory=list)
    steps: list[tuple[str, UsageRecord | None]] = field(default_factory=list)


def agent_rows() -> list[AgentRow]:
    """The newest first, with what they did in this month (UTC)."""
    month = datetime.now(UTC).replace(day=1, hour=0, minute=0, second=0, microsecond=0)
    in_month = Q(turn__created_at__gte=month)
    agents = Agent.objects.order_by("-pk").annotate(
        turns=Count("turn", filter=in_month),
        cost=Sum("turn__cost_nusd", filter=in_month, default=0),
        last_at=Max("turn__created_at"),
    )
    counts = dict(
        Conversation.objects.exclude(agent=None).values_list("agent").annotate(Count("pk"))
    )
    return [
        AgentRow(agent, counts.get(agent.pk, 0), agent.turns, agent.cost, agent.last_at)
        for agent in agents
    ]


def found_conversations(agent: Agent, *, words: str) -> QuerySet[Conversation]:
    """The newest first; of those that have the words in their title, their user's id, their own id
    or a message."""
    rows = Conversation.objects.filter(agent=agent).order_by("-pk")
    if not words:
        return rows
    newest = list(rows.values_list("pk", flat=True)[:SEARCHED])
    saying = Item.objects.filter(conversation__in=newest, body__icontains=_as_json(words))
    wanted = Q(title__icontains=words) | Q(end_user__icontains=words)
    wanted |= Q(pk__in=saying.values("conversation"))
    if number := uuid_of(words, "conv"):
        wanted |= Q(pk=number)
    return rows.filter(wanted)


def _as_json(words: str) -> str:
    """As they stand in an item's body."""
    return orjson.dumps(words).decode()[1:-1]


def described(conversations: Iterable[Conversation]) -> list[dict[str, Any]]:
    """With what their turns came to, and how they began."""
    rows = list(conversations)
    ids = [row.pk for row in rows]
    sums = {
        of: (turns, cost, last)
        for of, turns, cost, last in Turn.objects.filter(conversation__in=ids)
        .values_list("conversation")
        .annotate(Count("pk"), Sum("cost_nusd"), Max("created_at"))
    }
    firsts = {
        item.conversation_id: _text(item.content)
        for item in Item.objects.filter(conversation__in=ids, position=0)
    }
    return [
        {
            "conversation": row,
            "id": str(row),
            "title": row.title or firsts.get(row.pk, "")[:80] or "Without a word",
            "turns": sums.get(row.pk, (0, 0, None))[0],
            "cost_nusd": sums.get(row.pk, (0, 0, None))[1],
            "last_at": sums.get(row.pk, (0, 0, None))[2] or row.created_at,
        }
        for row in rows
    ]


def turn_rows(
    conversation: Conversation, *, before: int | None = None
) -> tuple[list[TurnRow], int]:
    """The newest items by turn, the oldest first; items that came without a turn stand alone.

    Returns the position before which older ones stand; 0: there are none.
    """
    items = Item.objects.filter(conversation=conversation, is_replaced=False)
    if before is not None:
        items = items.filter(position__lt=before)
    newest = list(items.order_by("-position")[:PAGE_ITEMS])[::-1]
    turns = {turn.pk: turn for turn in Turn.objects.filter(pk__in={i.turn_id for i in newest})}
    by_turn: dict[UUID, TurnRow] = {}
    made: list[TurnRow] = []
    for item in newest:
        turn = turns.get(item.turn_id) if item.turn_id else None
        if turn is None:
            made.append(TurnRow(Turn(), [shown(item)]))
            continue
        if turn.pk not in by_turn:
            by_turn[turn.pk] = TurnRow(turn)
            made.append(by_turn[turn.pk])
        by_turn[turn.pk].items.append(shown(item))
    _add_steps(by_turn.values())
    older = newest[0].position if len(newest) == PAGE_ITEMS else 0
    return made, older


def _add_steps(rows: Iterable[TurnRow]) -> None:
    found = list(rows)
    for row in found:
        learn_costs(row.turn)
    ids = {UUID(hex=step["request_id"]) for row in found for step in orjson.loads(row.turn.steps)}
    records = {record.pk: record for record in UsageRecord.objects.filter(pk__in=ids)}
    for row in found:
        row.steps = [
            (step["request_id"], records.get(UUID(hex=step["request_id"])))
            for step in orjson.loads(row.turn.steps)
        ]


def shown(item: Item) -> dict[str, Any]:
    """An item for a page: its kind, who says it, and its text."""
    told = item_object(item)
    kind = told["type"]
    if kind == "function_call":
        return {**told, "kind": "call", "text": told["arguments"]}
    if kind == "function_call_output":
        output = told["output"]
        return {
            **told,
            "kind": "result",
            "text": output if isinstance(output, str) else _text(told),
        }
    if kind == "reasoning":
        parts = told.get("content") or told["summary"]
        return {**told, "kind": "thought", "text": "\n".join(part["text"] for part in parts)}
    return {**told, "kind": told["role"], "text": _text(told)}


def _text(told: dict[str, Any]) -> str:
    parts = told.get("content") or []
    if isinstance(parts, str):
        return parts
    names = {"input_image": "(a picture)", "input_file": "(a file)"}
    return "\n".join(
        names.get(part["type"]) or part.get("text") or part.get("refusal") or "" for part in parts
    )
