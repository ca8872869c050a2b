"""Turns, in the tenant's schema."""

from typing import Any, ClassVar

import orjson
from django.db import models

from agentflare.ids import uuid7
from agents.conversations.models import Conversation
from agents.definitions.models import Agent


class TurnLostError(Exception):
    """It was ended by somebody else: its process had been taken for dead, or it was deleted."""


class Turn(models.Model):
    """One input, and all that follows from it: a turn of an agent, or a response of OpenAI's API.

    params: what was asked for beside the input, as JSON: told again with the answer.
    previous: the response that it follows. first_position, end_position: its items stand between
    them, with those that others have added meanwhile; the latter tells where a next one goes on.
    agent: whose turn it is; none: a response. next_event: the number of the event that comes next,
    of one that waits. reserved_nusd: of its agent's budget.
    steps: its calls of AI models, as JSON: a request id for each, which its usage record has.
    """

    class Status(models.TextChoices):
        QUEUED = "queued", "queued"
        IN_PROGRESS = "in_progress", "in progress"
        REQUIRES_ACTION = "requires_action", "waits for results of tools"
        COMPLETED = "completed", "completed"
        INCOMPLETE = "incomplete", "cut off"
        FAILED = "failed", "failed"
        CANCELLED = "cancelled", "cancelled"
        INTERRUPTED = "interrupted", "interrupted"

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    conversation = models.ForeignKey(Conversation, on_delete=models.CASCADE, related_name="turns")
    agent = models.ForeignKey(Agent, on_delete=models.CASCADE, null=True, db_index=False)
    status = models.CharField(max_length=16, choices=Status.choices)
    model = models.CharField(max_length=200)
    params = models.TextField()
    is_background = models.BooleanField(default=False, db_default=False)
    is_stored = models.BooleanField(default=True, db_default=True)
    previous = models.UUIDField(null=True)
    key_id = models.CharField(max_length=8)
    first_position = models.BigIntegerField()
    end_position = models.BigIntegerField()
    steps = models.TextField(default="[]", db_default="[]")
    error = models.TextField(default="", db_default="", blank=True)
    incomplete_reason = models.CharField(max_length=30, default="", db_default="", blank=True)
    input_tokens = models.BigIntegerField(default=0, db_default=0)
    cached_tokens = models.BigIntegerField(default=0, db_default=0)
    output_tokens = models.BigIntegerField(default=0, db_default=0)
    reasoning_tokens = models.BigIntegerField(default=0, db_default=0)
    cost_nusd = models.BigIntegerField(default=0, db_default=0)
    next_event = models.BigIntegerField(default=0, db_default=0)
    reserved_nusd = models.BigIntegerField(default=0, db_default=0)
    created_at = models.DateTimeField(auto_now_add=True)
    finished_at = models.DateTimeField(null=True)

    class Meta:
        indexes: ClassVar[list[models.Index]] = [
            # What an agent's turns may cost yet.
            models.Index(
                fields=["agent"],
                name="turns_that_may_cost",
                condition=models.Q(reserved_nusd__gt=0),
            ),
        ]

    def __str__(self) -> str:
        return f"{self.status} turn {self.pk.hex}"

    @property
    def is_running(self) -> bool:
        return self.status in RUNNING

    @property
    def is_active(self) -> bool:
        """It has its conversation for itself."""
        return self.is_running or self.status == Turn.Status.REQUIRES_ACTION

    @property
    def asked(self) -> dict[str, Any]:
        told: dict[str, Any] = orjson.loads(self.params)
        return told


# Some process works at it. Also one that waits has its conversation for itself.
RUNNING = (Turn.Status.QUEUED, Turn.Status.IN_PROGRESS)
