"""Anthropic's objects: the message, and the events of its stream."""

import time
from dataclasses import dataclass
from typing import Any

import orjson

from agentflare.envelopes import anthropic_body
from agentflare.errors import GatewayError
from inference.chat.events import Delta, Event, Finish, Usage
from inference.messages.blocks import Blocks, Thoughts
from inference.pipeline import Told

# How long a stream may be silent while the model thinks unseen.
_PING_S = 5.0
# What only Anthropic's own service has. Its schema requires the fields, and allows null.
_NOT_HERE = {"container": None, "diagnostics": None}
_STOP_REASONS = {"length": "max_tokens", "content_filter": "refusal"}


@dataclass(frozen=True, slots=True)
class Shape:
    """What is known of an answer before it comes. `model` is the name the client asked for.

    likely_input_tokens: our estimate, told when a stream begins; its end tells the truth.
    """

    message_id: str
    model: str
    request_id: str
    thoughts: Thoughts
    stop_sequences: tuple[str, ...] = ()
    likely_input_tokens: int = 0

    def message(self, content: list[Any], usage: dict[str, Any], **end: Any) -> dict[str, Any]:
        return {
            "id": self.message_id,
            "type": "message",
            "role": "assistant",
            "model": self.model,
            "content": content,
            "stop_reason": None,
            "stop_sequence": None,
            "stop_details": None,
            **_NOT_HERE,
            **end,
            "usage": usage,
        }


def usage_object(usage: Usage, told: Told) -> dict[str, Any]:
    """Anthropic's usage, whose input_tokens are those not read from a cache; and what it cost.

    Money is a string: JavaScript loses large integers.
    """
    return {
        **_counts(usage.prompt_tokens - usage.cached_tokens, usage.cached_tokens),
        "output_tokens": usage.completion_tokens,
        "output_tokens_details": {"thinking_tokens": usage.reasoning_tokens},
        "estimated_cost": told.estimated_cost,
        "request_cost": told.request_cost,
        "balance_remaining": told.balance_remaining,
    }


def _counts(input_tokens: int, cached: int) -> dict[str, Any]:
    return {
        "input_tokens": input_tokens,
        "cache_read_input_tokens": cached,
        # Upstream caches by itself; storing is not told, and costs nothing.
        "cache_creation_input_tokens": 0,
        "cache_creation": None,
        "output_tokens_details": None,
        "service_tier": "standard",
        # Required by Anthropic's schema; there is none of it here.
        "server_tool_use": None,
        "inference_geo": None,
        "speed": None,
    }


def sse(event: dict[str, Any]) -> bytes:
    """A server-sent event, named by its type."""
    return b"event: %b\ndata: %b\n\n" % (event["type"].encode(), orjson.dumps(event))


class MessageDialect:
    """Anthropic's message, and the events of its stream: see inference.chat.run.Dialect."""

    def __init__(self, shape: Shape) -> None:
        self.shape = shape
        # OpenAI's; Anthropic has none.
        self.system_fingerprint: str | None = None
        self._blocks = Blocks(thoughts=shape.thoughts, signature=shape.message_id)
        self._finish = Finish(0, "stop")
        self._is_refusal = False
        self._written_at = time.monotonic()

    def whole(self, events: list[Event], usage: Usage, told: Told) -> dict[str, Any]:
        for event in events:
            self._take(event)
        content = self._blocks.objects()
        return self.shape.message(content, usage_object(usage, told), **self._end())

    def begin(self) -> bytes:
        usage = {**_counts(self.shape.likely_input_tokens, 0), "output_tokens": 0}
        message = self.shape.message([], usage)
        return sse({"type": "message_start", "message": message}) + self._ping()

    def write(self, event: Event) -> bytes:
        self._take(event)
        is_last = isinstance(event, Finish)
        written = b"".join(sse(step) for step in self._blocks.steps(is_last=is_last))
        if written:
            self._written_at = time.monotonic()
        elif time.monotonic() - self._written_at > _PING_S:
            return self._ping()
        return written

    def end(self, usage: Usage, told: Told) -> bytes:
        closing = {
            "type": "message_delta",
            "delta": self._end(),
            "usage": usage_object(usage, told),
        }
        return sse(closing) + sse({"type": "message_stop"})

    def error(self, error: GatewayError) -> bytes:
        return sse(anthropic_body(error, request_id=self.shape.request_id))

    def _take(self, event: Event) -> None:
        if isinstance(event, Delta):
            self._is_refusal = self._is_refusal or bool(event.refusal)
            self._blocks.add(event)
        else:
            self._finish = event

    def _end(self) -> dict[str, Any]:
        """Why the message ends. Upstream's word for a forced call may be `stop`."""
        reason, matched = self._finish.reason, None
        if reason in _STOP_REASONS:
            told = _STOP_REASONS[reason]
        elif self._is_refusal:
            told = "refusal"
        elif self._blocks.has_tool_use:
            told = "tool_use"
        elif self._finish.stop_sequence in self.shape.stop_sequences:
            told, matched = "stop_sequence", self._finish.stop_sequence
        else:
            told = "end_turn"
        details = {"type": "refusal", "category": None, "explanation": None}
        return {
            "stop_reason": told,
            "stop_sequence": matched,
            "stop_details": details if told == "refusal" else None,
            "container": None,
        }

    def _ping(self) -> bytes:
        self._written_at = time.monotonic()
        return sse({"type": "ping"})
