"""Conversations and their items, in the tenant's schema."""

from typing import Any, ClassVar

import orjson
from django.db import models

from agentflare.ids import uuid7
from agents.definitions.models import Agent


class Conversation(models.Model):
    """A history. next_position: of the item that comes next; never given twice.

    agent: whose it is, talked to by end_user; none of both: of OpenAI's API. summary: of what
    stands before summary_until.

    size_bytes: of it and its items (storage.py).

    is_hidden: of a response that was stored without a conversation: nobody lists it, and it ends
    with the last of its responses. active_turn: the one that has it for itself.
    """

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    agent = models.ForeignKey(Agent, on_delete=models.CASCADE, null=True, db_index=False)
    end_user = models.CharField(max_length=64, blank=True, default="", db_default="")
    title = models.CharField(max_length=200, blank=True, default="", db_default="")
    metadata = models.JSONField(default=dict)
    created_at = models.DateTimeField(auto_now_add=True)
    next_position = models.BigIntegerField(default=0, db_default=0)
    forked_from = models.UUIDField(null=True)
    is_hidden = models.BooleanField(default=False, db_default=False)
    active_turn = models.UUIDField(null=True)
    summary = models.TextField(blank=True, default="", db_default="")
    summary_until = models.BigIntegerField(default=0, db_default=0)
    size_bytes = models.BigIntegerField(default=0, db_default=0)

    class Meta:
        indexes: ClassVar[list[models.Index]] = [
            # Pages of an agent's, the newest first: ids sort by time.
            models.Index(fields=["agent", "-id"], name="conversations_of_an_agent"),
            models.Index(fields=["agent", "end_user", "-id"], name="conversations_of_a_user"),
        ]

    def __str__(self) -> str:
        return f"conv_{self.pk.hex}"


class Item(models.Model):
    """A message, a tool's call or its result, or reasoning, as OpenAI's API has them.

    body: the item as JSON, without its id. Text, not jsonb: it is read and written whole, and may
    have what jsonb cannot hold (U+0000).
    """

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    conversation = models.ForeignKey(
        Conversation, on_delete=models.CASCADE, related_name="items", db_index=False
    )
    position = models.BigIntegerField()
    type = models.CharField(max_length=30)
    body = models.TextField()
    created_at = models.DateTimeField(auto_now_add=True)
    turn_id = models.UUIDField(null=True)
    is_output = models.BooleanField(default=False, db_default=False)
    is_replaced = models.BooleanField(default=False, db_default=False)

    class Meta:
        ordering = ("position",)
        constraints: ClassVar[list[models.BaseConstraint]] = [
            models.UniqueConstraint(
                fields=["conversation", "position"], name="item_has_its_own_position"
            )
        ]

    def __str__(self) -> str:
        return f"{self.type} {self.pk.hex}"

    @property
    def content(self) -> dict[str, Any]:
        told: dict[str, Any] = orjson.loads(self.body)
        return told
