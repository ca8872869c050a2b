"""Reading agents' conversations and turns, in the tenant's schema, which the caller is in."""

from collections.abc import Iterable
from typing import Any
from uuid import UUID

from django.db.models import QuerySet, Sum

from agents.client_tokens.tokens import ClientToken
from agents.conversations.models import Conversation
from agents.turns.models import Turn


def conversations_of(
    agent_id: UUID, *, client: ClientToken | None, end_user: str | None = None
) -> QuerySet[Conversation]:
    """Those that the caller may read, the newest first."""
    rows = Conversation.objects.filter(agent=agent_id, is_hidden=False).order_by("-pk")
    if client is not None:
        if client.conversation_id is not None:
            return rows.filter(pk=client.conversation_id)
        return rows.filter(end_user=client.end_user)
    return rows if end_user is None else rows.filter(end_user=end_user)


def costs_of(conversation_ids: Iterable[UUID]) -> dict[UUID, int]:
    """What the turns of each have cost, in nUSD."""
    sums = (
        Turn.objects.filter(conversation__in=list(conversation_ids))
        .values_list("conversation")
        .annotate(Sum("cost_nusd"))
    )
    return dict(sums)


def page(rows: QuerySet[Any], *, after: UUID | None, limit: int) -> tuple[list[Any], bool]:
    """A page of what sorts by its id, the newest first, and whether more follow."""
    if after is not None:
        rows = rows.filter(pk__lt=after)
    found = list(rows.order_by("-pk")[: limit + 1])
    return found[:limit], len(found) > limit
