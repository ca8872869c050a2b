"""Reading conversations, in the tenant's schema, which the caller is in."""

from uuid import UUID

from django.db.models import QuerySet

from agents.conversations.models import Item


def items_of_conversation(conversation_id: UUID) -> QuerySet[Item]:
    return Item.objects.filter(conversation=conversation_id, is_replaced=False)


def page_of(
    items: QuerySet[Item], *, after: UUID | None, limit: int, newest_first: bool
) -> tuple[list[Item], bool]:
    """A page, and whether more follow; by position, so that a long history costs no more.

    Raises Item.DoesNotExist for an `after` that is not among them.
    """
    if after is not None:
        position = items.values_list("position", flat=True).get(pk=after)
        side = "position__lt" if newest_first else "position__gt"
        items = items.filter(**{side: position})
    rows = list(items.order_by("-position" if newest_first else "position")[: limit + 1])
    return rows[:limit], len(rows) > limit
