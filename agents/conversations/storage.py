"""How much a workspace keeps of conversations. In the tenant's schema, which the caller is in.

Each conversation counts its bytes under the lock that orders its items; their sum is remembered for
a minute, so that a workspace may go over its limit by what it stores in one.
"""

from collections.abc import Sequence
from contextlib import suppress

from django.conf import settings
from django.core.cache import cache
from django.db import connection
from django.db.models import BigIntegerField, F, Func, QuerySet, Sum

from agentflare.errors import GatewayError
from agentflare.redis_store import RedisDownError
from agents.conversations.models import Conversation, Item

# Of an item's text, known without reading it.
OCTETS = Func(F("body"), function="octet_length", output_field=BigIntegerField())
# What a row takes beside its text.
ROW_BYTES = 256
_REMEMBERED_S = 60


class StorageFullError(GatewayError):
    """Not 429 and not 507: clients would try again and again."""

    status = 403
    type = "invalid_request_error"
    code = "storage_limit_reached"

    def __init__(self, limit_bytes: int) -> None:
        super().__init__(
            f"This workspace keeps as much of conversations and responses as it may: "
            f"{limit_bytes / 1024**3:g} GB. Delete conversations that nobody needs, ask for "
            "responses with 'store': false, or ask us for more."
        )


def size_of(bodies: Sequence[bytes]) -> int:
    """Of so many items, in bytes."""
    return sum(len(body) + ROW_BYTES for body in bodies)


def stored_bytes() -> int:
    """Of the whole workspace, as it was within the last minute."""
    key = f"stored-bytes:{connection.schema_name}"  # type: ignore[attr-defined]
    with suppress(*RedisDownError):
        known = cache.get(key)
        if known is not None:
            return int(known)
    total: int = Conversation.objects.aggregate(total=Sum("size_bytes", default=0))["total"]
    with suppress(*RedisDownError):
        cache.set(key, total, _REMEMBERED_S)
    return total


def require_room(size_bytes: int) -> None:
    """For so much more. Raises StorageFullError."""
    limit: int = settings.STORED_BYTES_MOST
    if stored_bytes() + size_bytes > limit:
        raise StorageFullError(limit)


def size_of_items(items: QuerySet[Item]) -> int:
    """Of their texts, in bytes, without reading them."""
    total: int = items.annotate(octets=OCTETS).aggregate(total=Sum("octets", default=0))["total"]
    return total


def delete_items(conversation: Conversation, items: QuerySet[Item]) -> int:
    """Some of its items. Returns how many there were."""
    size = size_of_items(items)
    count, _ = items.delete()
    rows = Conversation.objects.filter(pk=conversation.pk)
    rows.update(size_bytes=F("size_bytes") - size - count * ROW_BYTES)
    return count
