"""What is deleted in the night, and what is not."""

from datetime import timedelta
from typing import Any

from django.utils import timezone

from agentflare.ids import uuid7
from agents.conversations.models import Conversation, Item
from agents.conversations.services import create_conversation
from agents.turns import services
from agents.turns.models import Turn
from agents.turns.retention import delete_old_responses
from tenants.registry.schemas import tenant_schema

MESSAGE = {"type": "message", "role": "user", "content": [{"type": "input_text", "text": "Hi"}]}


def response(**fields: Any) -> Turn:
    new = services.NewTurn(
        id=uuid7(), request_id=uuid7(), model="m", params={}, items=[MESSAGE], key_id="k", **fields
    )
    turn = services.begin(new)
    Turn.objects.filter(pk=turn.pk).update(status=Turn.Status.COMPLETED)
    services.release(turn)
    return turn


def age(turn: Turn, days: int) -> None:
    then = timezone.now() - timedelta(days=days)
    Turn.objects.filter(pk=turn.pk).update(created_at=then)
    Conversation.objects.filter(pk=turn.conversation_id).update(created_at=then)


def test_old_responses_go_and_what_follows_them_or_has_a_name_stays(acme: Any) -> None:
    with tenant_schema(acme.code):
        old, young = response(), response()
        followed = response()
        named = create_conversation(metadata={})
        in_named = response(conversation_id=named.pk)
        for turn in (old, followed, in_named):
            age(turn, 31)
        next_one = response(previous=followed.pk)
        assert next_one.conversation_id == followed.conversation_id

    delete_old_responses()
    delete_old_responses()

    with tenant_schema(acme.code):
        left = set(Turn.objects.values_list("pk", flat=True))
        assert left == {young.pk, followed.pk, next_one.pk, in_named.pk}
        assert not Item.objects.filter(conversation=old.conversation_id).exists()
