"""Agents, in the tenant's schema."""

from typing import Any

import orjson
from django.db import models

from agentflare.ids import uuid7

MAX_MESSAGES, MAX_STEPS, TURN_TIMEOUT_S = 100, 10, 300


class Agent(models.Model):
    """Who is talked to: instructions, model, tools and limits.

    params: of a chat. tools: JSON, as `tools/` reads it; what is secret in it is encrypted.
    tool_secret: what requests to its tools are signed with, encrypted. max_messages: of its history
    that a model reads; max_steps: calls of a model in one turn. summary_model: what older history
    is summed up by; empty: it is left out. monthly_budget_nusd: what its turns may cost in a
    calendar month (UTC); spent_nusd: what those of spent_month have cost. What
    running ones may cost yet stands with them.
    """

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    name = models.CharField(max_length=100)
    description = models.CharField(max_length=500, blank=True, default="")
    model = models.CharField(max_length=200)
    instructions = models.TextField(blank=True, default="")
    params = models.JSONField(default=dict)
    tools = models.TextField(default="[]")
    tool_secret = models.TextField()
    max_messages = models.PositiveIntegerField(default=MAX_MESSAGES)
    max_steps = models.PositiveIntegerField(default=MAX_STEPS)
    turn_timeout_s = models.PositiveIntegerField(default=TURN_TIMEOUT_S)
    summary_model = models.CharField(max_length=200, blank=True, default="")
    monthly_budget_nusd = models.BigIntegerField(null=True)
    spent_month = models.DateField(null=True)
    spent_nusd = models.BigIntegerField(default=0)
    metadata = models.JSONField(default=dict)
    created_at = models.DateTimeField(auto_now_add=True)
    updated_at = models.DateTimeField(auto_now=True)

    def __str__(self) -> str:
        return self.name

    @property
    def tool_list(self) -> list[dict[str, Any]]:
        told: list[dict[str, Any]] = orjson.loads(self.tools)
        return told
