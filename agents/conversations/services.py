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


@transaction.atomic
def create_conversation(
    *,
    metadata: Mapping[str, str],
    items: Sequence[Mapping[str, Any]] = (),
    agent_id: UUID | None = None,
    end_user: str = "",
    title: str = "",
) -> Conversation:
    """items: as their params tell them. Raises InvalidRequestError for one that is too large."""
    conversation = Conversation.objects.create(
        metadata=dict(metadata), agent_id=agent_id, end_user=end_user, title=title
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
    any they are its input. Raises Conversation.DoesNotExist, or InvalidRequestError for an item
    that is too large.
    """
    bodies = [_body(number, item) for number, item in enumerate(items)]
    # Whoever else writes waits here.
    conversation = Conversation.objects.select_for_update().get(pk=conversation_id)
    first = conversation.next_position
    is_output = bool(ids)
    rows = Item.objects.bulk_create(
        Item(
            id=ids[number] if is_output else uuid7(),
            conversation=conversation,
            position=first + number,
            type=item["type"],
            body=body,
            turn_id=turn_id,
            is_output=is_output,
        )
        for number, (item, body) in enumerate(zip(items, bodies, strict=True))
    )
    conversation.next_position = first + len(rows)
    conversation.save(update_fields=["next_position"])
    return rows


@transaction.atomic
def delete_conversation(conversation_id: UUID) -> None:
    """With its items. Raises Conversation.DoesNotExist; so does a repeat."""
    conversation = Conversation.objects.select_for_update().get(pk=conversation_id)
    conversation.delete()


def delete_item(conversation_id: UUID, item_id: UUID) -> bool:
    """Whether it was there. The others keep their positions."""
    count, _ = Item.objects.filter(conversation=conversation_id, pk=item_id).delete()
    return bool(count)


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

    metadata: None: that of the first. Raises Conversation.DoesNotExist or Item.DoesNotExist.
    """
    source = Conversation.objects.select_for_update().get(pk=conversation_id)
    end = source.next_position if end_position is None else end_position
    if until is not None:
        end = Item.objects.get(conversation=source, pk=until).position + 1
    copy = Conversation.objects.create(
        metadata=source.metadata if metadata is None else dict(metadata),
        next_position=end,
        agent_id=source.agent_id,
        end_user=source.end_user,
        title=source.title,
        is_hidden=is_hidden,
        forked_from=source.pk,
    )
    with connection.cursor() as cursor:
        cursor.execute(_COPY, {"source": source.pk, "copy": copy.pk, "end": end})
    return copy


_COPY = """
INSERT INTO conversations_item (id, conversation_id, position, type, body, created_at)
SELECT gen_random_uuid(), %(copy)s, position, type, body, created_at
  FROM conversations_item
 WHERE conversation_id = %(source)s AND position < %(end)s AND NOT is_replaced
"""


def _body(number: int, item: Mapping[str, Any]) -> str:
    body = orjson.dumps(item)
    if len(body) > MAX_ITEM_BYTES:
        raise InvalidRequestError(
            f"Invalid value for 'items[{number}]': an item has at most {MAX_ITEM_BYTES} bytes as "
            f"JSON, this one {len(body)}.",
            param=f"items[{number}]",
            code="string_above_max_length",
        )
    return body.decode()
