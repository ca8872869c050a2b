"""What a workspace keeps is counted to the byte, and has a limit."""

from typing import Any

import pytest
from django.core.cache import cache
from django.db.models import F, Func, Sum

from agentflare.ids import uuid7
from agents.conversations import services as conversations
from agents.conversations.models import Conversation, Item
from agents.conversations.storage import ROW_BYTES, StorageFullError, stored_bytes
from agents.turns import services
from tenants.registry.schemas import tenant_schema


def message(text: str) -> dict[str, Any]:
    part = {"type": "input_text", "text": text}
    return {"type": "message", "role": "user", "content": [part]}


def turn(text: str, **fields: Any) -> services.NewTurn:
    return services.NewTurn(
        id=uuid7(),
        request_id=uuid7(),
        model="m",
        params={},
        items=[message(text)],
        key_id="k",
        **fields,
    )


def expect_exact_sizes() -> None:
    octets = Func(F("body"), function="octet_length")
    for row in Conversation.objects.all():
        items = Item.objects.filter(conversation=row).annotate(octets=octets)
        told = items.aggregate(total=Sum("octets", default=0))["total"]
        assert row.size_bytes == told + (items.count() + 1) * ROW_BYTES, row


def test_whatever_is_done_the_sizes_are_exact(acme: Any) -> None:
    with tenant_schema(acme.code):
        made = conversations.create_conversation(metadata={}, items=[message("ä" * 100)])
        first, _ = conversations.add_items(made.pk, [message("b"), message("☃")])
        expect_exact_sizes()
        conversations.fork(made.pk)
        conversations.fork(made.pk, until=first.pk)
        conversations.delete_item(made, first.pk)
        conversations.delete_item(made, first.pk)
        expect_exact_sizes()
        refused = services.begin(turn("refused", conversation_id=made.pk))
        services.withdraw(refused.pk)
        services.withdraw(refused.pk)
        services.begin(turn("a response"))
        expect_exact_sizes()
        conversations.delete_conversation(made.pk)
        expect_exact_sizes()


def test_nothing_more_is_stored_beyond_the_limit_until_something_is_deleted(
    acme: Any, globex: Any, settings: Any
) -> None:
    settings.STORED_BYTES_MOST = 4_000
    with tenant_schema(acme.code):
        made = conversations.create_conversation(metadata={}, items=[message("a" * 2_500)])
        cache.clear()
        before = stored_bytes()
        for refused in (
            lambda: conversations.add_items(made.pk, [message("b" * 2_000)]),
            lambda: conversations.fork(made.pk),
            lambda: services.begin(turn("b" * 2_000, conversation_id=made.pk)),
            lambda: services.begin(turn("b" * 2_000)),
        ):
            with pytest.raises(StorageFullError, match="keeps as much"):
                refused()
        cache.clear()
        assert stored_bytes() == before
        # What a model has answered is paid for, and kept.
        answer = [message("c" * 3_000)]
        conversations.add_items(made.pk, answer, turn_id=uuid7(), ids=[uuid7()])
        cache.clear()
        with pytest.raises(StorageFullError):
            conversations.create_conversation(metadata={})

        conversations.delete_conversation(made.pk)
        cache.clear()
        conversations.create_conversation(metadata={}, items=[message("d")])
    with tenant_schema(globex.code):
        conversations.create_conversation(metadata={}, items=[message("theirs")])
