"""A turn as it is at a moment, whatever form its client reads it in."""

import time
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID

from agentflare.errors import GatewayError
from agents.turns.models import Turn
from inference.chat.events import Usage
from inference.pipeline import Told

# OpenAI's reasons by those of chats.
_INCOMPLETE = {"length": "max_output_tokens", "content_filter": "content_filter"}


@dataclass(slots=True)
class TurnState:
    """output: items as clients read them, the last of them perhaps not whole.

    error: {code, message}. told: money, of the last of its calls; cost_nusd: of all of them.
    steps: its calls: {request_id, cost_nusd}; without a cost where that is not known yet.
    reserved_nusd: of its agent's budget. unspent_nusd: what it has cost of that, and is not kept
    yet. answered: calls whose results the client has sent.
    """

    id: UUID
    model: str
    status: str = Turn.Status.IN_PROGRESS
    finished_at: float | None = None
    output: list[dict[str, Any]] = field(default_factory=list)
    usage: Usage = field(default_factory=Usage)
    has_usage: bool = False
    cost_nusd: int = 0
    told: Told | None = None
    error: dict[str, Any] | None = None
    incomplete_reason: str = ""
    steps: list[dict[str, Any]] = field(default_factory=list)
    conversation_id: UUID | None = None
    agent_id: UUID | None = None
    next_event: int = 0
    reserved_nusd: int = 0
    unspent_nusd: int = 0
    answered: set[str] = field(default_factory=set)

    @property
    def created_at(self) -> float:
        """Seconds since 1970: its id says it, so that it is the same wherever it is asked."""
        return (self.id.int >> 80) / 1000

    def pending_calls(self) -> list[dict[str, Any]]:
        """Calls of tools that have no result yet."""
        told = self.answered | {
            item["call_id"] for item in self.output if item["type"] == "function_call_output"
        }
        return [
            item
            for item in self.output
            if item["type"] == "function_call" and item["call_id"] not in told
        ]

    def add_usage(self, usage: Usage) -> None:
        self.has_usage = True
        total = self.usage
        total.prompt_tokens += usage.prompt_tokens
        total.cached_tokens += usage.cached_tokens
        total.completion_tokens += usage.completion_tokens
        total.reasoning_tokens += usage.reasoning_tokens

    def end_by(self, finish_reason: str) -> None:
        """The model has come to an end of its answer."""
        self.incomplete_reason = _INCOMPLETE.get(finish_reason, "")
        has_reason = bool(self.incomplete_reason)
        self.end(Turn.Status.INCOMPLETE if has_reason else Turn.Status.COMPLETED)

    def cut(self, reason: str) -> None:
        self.incomplete_reason = reason
        self.end(Turn.Status.INCOMPLETE)

    def fail(self, error: GatewayError) -> None:
        self.error = error_object(error)
        self.end(Turn.Status.FAILED)

    def end(self, status: str) -> None:
        self.status, self.finished_at = status, time.time()


def error_object(error: GatewayError) -> dict[str, Any]:
    """As a response tells it: OpenAI's clients know `server_error` and `rate_limit_exceeded`."""
    if error.status >= 500:
        code = "server_error"
    elif error.status == 429 and error.code is None:
        code = "rate_limit_exceeded"
    else:
        code = error.code or error.type
    return {"code": code, "message": error.message}
