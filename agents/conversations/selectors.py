"""Reading conversations, in the tenant's schema, which the caller is in."""

from uuid import UUID

from django.db.models import QuerySet

from agents.conversations.models import Item
from agents.conversations.storage import OCTETS


def items_of_conversation(conversation_id: UUID) -> QuerySet[Item]:
    return Item.objects.filter(conversation=conversation_id, is_replaced=False)


# Of items that are read at once.
MOST_BYTES = 24 * 1024 * 1024


def within(items: QuerySet[Item], *, most_bytes: int = MOST_BYTES) -> tuple[list[Item], bool]:
    """The first of them that have no more bytes together, and one at the least; and whether that
    is all of them. Their sizes are read first.

    items: ordered, and cut to a number.
    """
    sizes = list(items.annotate(octets=OCTETS).values_list("pk", "octets"))
    chosen: list[UUID] = []
    total = 0
    for pk, size in sizes:
        total += size
        if chosen and total > most_bytes:
            break
        chosen.append(pk)
    by_id = Item.objects.in_bulk(chosen)
    return [by_id[pk] for pk in chosen if pk in by_id], len(chosen) == len(sizes)


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
    ordered = items.order_by("-position" if newest_first else "position")
    rows, is_all = within(ordered[: limit + 1])
    return rows[:limit], not is_all or len(rows) > limit
