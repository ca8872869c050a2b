"""Changing conversations. All in the tenant's schema, which the caller is in."""

from collections.abc import Mapping, Sequence
from typing import Any
from uuid import UUID

import orjson
from django.db import connection, transaction

from agentflare.errors import InvalidRequestError
from agentflare.ids import uuid7
from agents.conversations.items import MAX_ITEM_BYTES
from agents.conversations.models import Conversation, Item
from agents.conversations.storage import ROW_BYTES, delete_items, require_room, size_of
from agents.turns import cancels


@transaction.atomic
def create_conversation(
    *,
    metadata: Mapping[str, str],
    items: Sequence[Mapping[str, Any]] = (),
    agent_id: UUID | None = None,
    end_user: str = "",
    title: str = "",
) -> Conversation:
    """items: as their params tell them. Raises InvalidRequestError for one that is too large, or
    StorageFullError."""
    require_room(ROW_BYTES)
    conversation = Conversation.objects.create(
        metadata=dict(metadata),
        agent_id=agent_id,
        end_user=end_user,
        title=title,
        size_bytes=ROW_BYTES,
    )
    if items:
        add_items(conversation.pk, items)
    return conversation


@transaction.atomic
def add_items(
    conversation_id: UUID,
    items: Sequence[Mapping[str, Any]],
    *,
    turn_id: UUID | None = None,
    ids: Sequence[UUID] = (),
) -> list[Item]:
    """At the end, in their order, nobody's in between.

    turn_id: the turn that they come with. ids: of its answer, which clients know already; without
    any they are its input. Raises Conversation.DoesNotExist, InvalidRequestError for an item
    that is too large, or StorageFullError for input.
    """
    is_output = bool(ids)
    bodies = [orjson.dumps(item) for item in items]
    size = size_of(bodies)
    if not is_output:
        _require_small(bodies)
        require_room(size)
    # Whoever else writes waits here.
    conversation = Conversation.objects.select_for_update().get(pk=conversation_id)
    first = conversation.next_position
    rows = Item.objects.bulk_create(
        Item(
            id=ids[number] if is_output else uuid7(),
            conversation=conversation,
            position=first + number,
            type=item["type"],
            body=body.decode(),
            turn_id=turn_id,
            is_output=is_output,
        )
        for number, (item, body) in enumerate(zip(items, bodies, strict=True))
    )
    conversation.next_position = first + len(rows)
    conversation.size_bytes += size
    conversation.save(update_fields=["next_position", "size_bytes"])
    return rows


@transaction.atomic
def delete_conversation(conversation_id: UUID) -> None:
    """With its items; a turn that runs is ended. Raises Conversation.DoesNotExist; so does a
    repeat."""
    conversation = Conversation.objects.select_for_update().get(pk=conversation_id)
    cancels.cancel_all([conversation.active_turn])
    conversation.delete()


@transaction.atomic
def delete_item(conversation: Conversation, item_id: UUID) -> bool:
    """Whether it was there. The others keep their positions."""
    return bool(
        delete_items(conversation, Item.objects.filter(conversation=conversation, pk=item_id))
    )


def set_metadata(conversation_id: UUID, metadata: Mapping[str, str]) -> Conversation:
    """In place of what was there. Raises Conversation.DoesNotExist."""
    Conversation.objects.filter(pk=conversation_id).update(metadata=dict(metadata))
    return Conversation.objects.get(pk=conversation_id)


def update_conversation(
    conversation_id: UUID, *, title: str | None, metadata: Mapping[str, str] | None
) -> Conversation:
    """None: it stays as it is. Raises Conversation.DoesNotExist."""
    given = {"title": title, "metadata": None if metadata is None else dict(metadata)}
    changes = {name: value for name, value in given.items() if value is not None}
    if changes:
        Conversation.objects.filter(pk=conversation_id).update(**changes)
    return Conversation.objects.get(pk=conversation_id)


@transaction.atomic
def fork(
    conversation_id: UUID,
    *,
    until: UUID | None = None,
    end_position: int | None = None,
    metadata: Mapping[str, str] | None = None,
    is_hidden: bool = False,
) -> Conversation:
    """Another conversation with the same items, up to and with one of them, or before a position.

    metadata: None: that of the first. Raises Conversation.DoesNotExist, Item.DoesNotExist or
    StorageFullError.
    """
    source = Conversation.objects.select_for_update().get(pk=conversation_id)
    require_room(source.size_bytes)
    end = source.next_position if end_position is None else end_position
    if until is not None:
        end = Item.objects.get(conversation=source, pk=until).position + 1
    copy = Conversation.objects.create(
        metadata=source.metadata if metadata is None else dict(metadata),
        next_position=end,
        # One that is hidden is nobody's to list.
        **({} if is_hidden else _whose(source)),
        is_hidden=is_hidden,
        forked_from=source.pk,
    )
    with connection.cursor() as cursor:
        cursor.execute(_COPY, {"source": source.pk, "copy": copy.pk, "end": end})
        cursor.execute(_SIZE, {"copy": copy.pk, "row": ROW_BYTES})
    copy.refresh_from_db(fields=["size_bytes"])
    return copy


def _whose(conversation: Conversation) -> dict[str, Any]:
    return {
        "agent_id": conversation.agent_id,
        "end_user": conversation.end_user,
        "title": conversation.title,
    }


_COPY = """
INSERT INTO conversations_item (id, conversation_id, position, type, body, created_at)
SELECT gen_random_uuid(), %(copy)s, position, type, body, created_at
  FROM conversations_item
 WHERE conversation_id = %(source)s AND position < %(end)s AND NOT is_replaced
"""
_SIZE = """
UPDATE conversations_conversation
   SET size_bytes = %(row)s + (
           SELECT coalesce(sum(octet_length(body) + %(row)s), 0)
             FROM conversations_item WHERE conversation_id = %(copy)s
       )
 WHERE id = %(copy)s
"""


def _require_small(bodies: Sequence[bytes]) -> None:
    for number, body in enumerate(bodies):
        if len(body) > MAX_ITEM_BYTES:
            raise InvalidRequestError(
                f"Invalid value for 'items[{number}]': an item has at most {MAX_ITEM_BYTES} bytes "
                f"as JSON, this one {len(body)}.",
                param=f"items[{number}]",
                code="string_above_max_length",
            )
