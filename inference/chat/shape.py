"""OpenAI's objects: chat.completion, and the chunks of a stream."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

import orjson

from agentflare.errors import GatewayError
from inference.chat.events import Delta, Event, Finish, Usage
from inference.pipeline import Told

DONE = b"data: [DONE]\n\n"


@dataclass(slots=True)
class Shape:
    """What stays the same through one answer. `model` is the name the client asked for."""

    completion_id: str
    created: int
    model: str
    system_fingerprint: str | None = None

    def head(self, kind: str) -> dict[str, Any]:
        head: dict[str, Any] = {
            "id": self.completion_id,
            "object": kind,
            "created": self.created,
            "model": self.model,
        }
        if self.system_fingerprint is not None:
            head["system_fingerprint"] = self.system_fingerprint
        return head


def usage_object(usage: Usage, told: Told) -> dict[str, Any]:
    """OpenAI's usage, and what it cost. Money is a string: JavaScript loses large integers."""
    return {
        "prompt_tokens": usage.prompt_tokens,
        "completion_tokens": usage.completion_tokens,
        "total_tokens": usage.prompt_tokens + usage.completion_tokens,
        "prompt_tokens_details": {"cached_tokens": usage.cached_tokens, "audio_tokens": 0},
        "completion_tokens_details": {
            "reasoning_tokens": usage.reasoning_tokens,
            "audio_tokens": 0,
            "accepted_prediction_tokens": 0,
            "rejected_prediction_tokens": 0,
        },
        "estimated_cost": told.estimated_cost,
        "request_cost": told.request_cost,
        "balance_remaining": told.balance_remaining,
    }


# --- not streamed -------------------------------------------------------------------


@dataclass(slots=True)
class Choice:
    """One choice, gathered from its events."""

    index: int
    content: list[str] = field(default_factory=list)
    reasoning: list[str] = field(default_factory=list)
    refusal: list[str] = field(default_factory=list)
    tool_calls: dict[int, dict[str, Any]] = field(default_factory=dict)
    logprobs: Any = None
    finish_reason: str = "stop"

    def add(self, event: Event) -> None:
        if isinstance(event, Finish):
            self.finish_reason = event.reason
            return
        self.content.append(event.content)
        self.reasoning.append(event.reasoning)
        self.refusal.append(event.refusal)
        self.logprobs = event.logprobs or self.logprobs
        for fragment in event.tool_calls:
            call = self.tool_calls.get(fragment["index"])
            if call is None:
                call = {key: fragment[key] for key in ("id", "type", "function")}
                self.tool_calls[fragment["index"]] = call
            else:
                call["function"]["arguments"] += fragment["function"]["arguments"]

    def object(self) -> dict[str, Any]:
        content = "".join(self.content)
        message: dict[str, Any] = {
            "role": "assistant",
            "content": content if content or not self.tool_calls else None,
            "refusal": "".join(self.refusal) or None,
        }
        if reasoning := "".join(self.reasoning):
            message["reasoning_content"] = reasoning
        if self.tool_calls:
            message["tool_calls"] = [call for _, call in sorted(self.tool_calls.items())]
        return {
            "index": self.index,
            "message": message,
            "logprobs": _logprobs(self.logprobs),
            "finish_reason": self.finish_reason,
        }


def gather(events: Iterable[Event]) -> list[Choice]:
    choices: dict[int, Choice] = {}
    for event in events:
        choices.setdefault(event.index, Choice(event.index)).add(event)
    return [choices[index] for index in sorted(choices)]


# --- streamed -----------------------------------------------------------------------


def chunk(data: dict[str, Any]) -> bytes:
    return b"data: " + orjson.dumps(data) + b"\n\n"


class ChatDialect:
    """OpenAI's chat.completion, and its chunks: the first of each choice has the role."""

    def __init__(self, shape: Shape, *, choices: int, include_usage: bool) -> None:
        self.shape = shape
        self.choices = choices
        self.include_usage = include_usage
        self._started: set[int] = set()

    @property
    def system_fingerprint(self) -> str | None:
        return self.shape.system_fingerprint

    @system_fingerprint.setter
    def system_fingerprint(self, value: str | None) -> None:
        self.shape.system_fingerprint = value

    def whole(self, events: list[Event], usage: Usage, told: Told) -> dict[str, Any]:
        choices = gather(events) or [Choice(index) for index in range(self.choices)]
        return {
            **self.shape.head("chat.completion"),
            "choices": [choice.object() for choice in choices],
            "usage": usage_object(usage, told),
        }

    def begin(self) -> bytes:
        return b""

    def write(self, event: Event) -> bytes:
        written = b""
        if event.index not in self._started:
            self._started.add(event.index)
            first = {"role": "assistant", "content": "", "refusal": None}
            written = self._chunk(event.index, first)
        if isinstance(event, Finish):
            return written + self._chunk(event.index, {}, finish_reason=event.reason)
        return written + self._chunk(event.index, _delta(event), logprobs=event.logprobs)

    def end(self, usage: Usage, told: Told) -> bytes:
        """With usage asked for, a last chunk: no choices, the totals."""
        if not self.include_usage:
            return DONE
        head = self.shape.head("chat.completion.chunk")
        return chunk({**head, "choices": [], "usage": usage_object(usage, told)}) + DONE

    def error(self, error: GatewayError) -> bytes:
        return chunk(error.body())

    def _chunk(
        self,
        index: int,
        delta: dict[str, Any],
        *,
        finish_reason: str | None = None,
        logprobs: Any = None,
    ) -> bytes:
        data = self.shape.head("chat.completion.chunk")
        data["choices"] = [
            {
                "index": index,
                "delta": delta,
                "logprobs": _logprobs(logprobs),
                "finish_reason": finish_reason,
            }
        ]
        if self.include_usage:
            data["usage"] = None
        return chunk(data)


def _logprobs(told: Any) -> Any:
    """Engines leave out `refusal`, which OpenAI's schema requires."""
    return {"content": None, "refusal": None, **told} if isinstance(told, dict) else None


def _delta(event: Delta) -> dict[str, Any]:
    delta: dict[str, Any] = {}
    if event.content:
        delta["content"] = event.content
    if event.reasoning:
        delta["reasoning_content"] = event.reasoning
    if event.refusal:
        delta["refusal"] = event.refusal
    if event.tool_calls:
        delta["tool_calls"] = event.tool_calls
    return delta
