"""From upstream's answer to events, whichever of the two forms it has.

The form is told by the shape of what arrives, not by the catalogue: models migrate.
"""

import re
from collections.abc import Callable, Iterable, Iterator
from decimal import Decimal
from typing import Any

import orjson

from inference.chat.events import Delta, Event, Finish, Usage
from inference.chat.fragments import ToolFragments, as_text
from inference.metering.measured import parse_neurons
from inference.metering.written import (
    LONGEST_TOKEN,
    check_length,
    count_written,
    most_believable,
)
from inference.tokens.counting import count_tokens
from inference.upstreams.client import tells_of_error
from inference.upstreams.failures import UpstreamCallError

# Where models that are not made for chat have their text.
_OTHER_TEXTS = ("description", "answer", "caption")
# How engines say that they gave up.
_FAILED = {"error", "abort"}
# Beside those with a token in them: a model may think without showing it.
_EMPTY_FRAMES = 50_000
_LABEL = re.compile(r"[\w.-]{1,64}")
_FINISH_REASONS = {"stop", "length", "tool_calls", "content_filter", "function_call"}


class AnswerReader:
    """Reads one answer and keeps what was learned of it beside the text.

    output_cap: the tokens asked for at most; a native answer that used them all was cut.
    choices: how many this one answer must have.
    `counted_tokens` counts what was read so far, for answers that never tell a total; `is_whole`
    tells that upstream's end was reached;
    `has_output` tells whether anything came.
    """

    def __init__(self, *, output_cap: int, choices: int = 1) -> None:
        self.output_cap = output_cap
        self.choices = choices
        self.has_output = False
        self.is_whole = False
        self.system_fingerprint: str | None = None
        self.neurons: Decimal | None = None
        self.counted_tokens = 0
        self._totals: Usage | None = None
        self._increments = Usage()
        self._latest = Usage()
        self._closing = Usage()
        self._prompt_reports = 0
        self._started: set[int] = set()
        self._finished: set[int] = set()
        self._tools = ToolFragments()
        self._is_native = False
        self._frames = 0
        self._saw_choices = False

    # --- a whole answer ---------------------------------------------------------

    def read_result(self, result: dict[str, Any]) -> Iterator[Event]:
        """Raises UpstreamCallError for an answer of no known form."""
        events = _readable(self._read_result, result)
        text = "".join(map(_text_of, events))
        check_length(text, cap=self.output_cap * self.choices)
        told = self._totals.completion_tokens if self._totals else 0
        if not 0 < told <= self.most_tokens:
            self.counted_tokens = count_tokens(text)
        self.is_whole = True
        yield from events

    def _read_result(self, result: dict[str, Any]) -> Iterator[Event]:
        self._note_label(result)
        if isinstance(usage := result.get("usage"), dict):
            self._totals = Usage.parse(usage)
        if isinstance(choices := result.get("choices"), list) and choices:
            for choice in choices:
                yield from self._read_choice(choice, choice.get("message") or _text_choice(choice))
            for choice in choices:
                reason = choice.get("finish_reason") or "stop"
                yield from self._finish(self._index(choice), reason, matched=_matched(choice))
            return
        if isinstance(metrics := result.get("metrics"), dict):
            self._totals = self._totals or Usage.parse_metrics(metrics)
        if "response" not in result and "tool_calls" not in result:
            texts = [result[name] for name in _OTHER_TEXTS if name in result]
            result = {"response": texts[0]} if texts else result
        if "response" not in result and "tool_calls" not in result:
            raise UpstreamCallError.unreadable(f"no choices and no response: {list(result)[:5]}")
        yield from self._read_native(result)
        yield from self._finish_native()

    # --- a stream ---------------------------------------------------------------

    def read_frames(self, frames: Iterable[dict[str, Any]]) -> Iterator[Event]:
        """Raises UpstreamCallError when upstream reports an error inside the stream."""
        for frame in frames:
            if tells_of_error(frame):
                raise UpstreamCallError.broken(orjson.dumps(frame)[:500].decode())
            self._note_label(frame)
            read = self._read_chunk if "choices" in frame else self._read_native_frame
            events = _readable(read, frame)
            self.counted_tokens += sum(map(self._tokens_of, events))
            self._frames += 1
            if max(self.counted_tokens, self._frames - _EMPTY_FRAMES) > self.most_tokens:
                raise UpstreamCallError.broken("far more came than was asked for")
            yield from events

    def finish_stream(self, *, saw_done: bool) -> Iterator[Event]:
        """Call it at the stream's end. Raises UpstreamCallError when something is missing."""
        if not saw_done:
            raise UpstreamCallError.broken("the stream ended without [DONE]")
        self.is_whole = True
        if self._is_native and not self._finished:
            yield from _readable(self._finish_native)
        if not self._finished or self._started - self._finished:
            raise UpstreamCallError.broken("the stream ended without a finish")

    def _read_chunk(self, frame: dict[str, Any]) -> Iterator[Event]:
        self._saw_choices = True
        choices = frame["choices"] or []
        usage = Usage.parse(frame["usage"]) if isinstance(frame.get("usage"), dict) else Usage()
        if not choices:
            self._closing = usage or self._closing
            return
        self._add_increment(usage)
        for choice in choices:
            yield from self._read_choice(choice, choice.get("delta") or _text_choice(choice))
            if reason := choice.get("finish_reason"):
                yield from self._finish(self._index(choice), reason, matched=_matched(choice))

    def _read_native_frame(self, frame: dict[str, Any]) -> Iterator[Event]:
        if isinstance(usage := frame.get("usage"), dict):
            self._totals = Usage.parse(usage)
        if "response" in frame or "tool_calls" in frame:
            # The terminal frame of an OpenAI-shaped stream looks native, and says nothing.
            self._is_native = not self._saw_choices
            yield from self._read_native(frame)

    # --- the parts of both ------------------------------------------------------

    def _read_choice(self, choice: dict[str, Any], message: dict[str, Any]) -> Iterator[Delta]:
        index = self._index(choice)
        logprobs = choice.get("logprobs")
        delta = Delta(
            index=index,
            content=as_text(message.get("content")),
            reasoning=as_text(message.get("reasoning_content") or message.get("reasoning")),
            tool_calls=self._tools.read(index, message.get("tool_calls") or []),
            refusal=as_text(message.get("refusal")),
            logprobs=logprobs if isinstance(logprobs, dict) else None,
        )
        if delta:
            yield self._note_output(delta)

    def _read_native(self, result: dict[str, Any]) -> Iterator[Delta]:
        calls = [self._tools.whole(call) for call in result.get("tool_calls") or []]
        delta = Delta(content=as_text(result.get("response")), tool_calls=calls)
        if delta:
            yield self._note_output(delta)

    def _note_output(self, delta: Delta) -> Delta:
        self.has_output = True
        self._started.add(delta.index)
        return delta

    def _finish(self, index: int, reason: str, *, matched: str | None = None) -> Iterator[Finish]:
        if index not in self._finished:
            if reason in _FAILED:
                raise ValueError(f"the answer ended by {reason!r}")
            self._tools.check(index)
            self._finished.add(index)
            if reason not in _FINISH_REASONS or (
                reason == "tool_calls" and not self._tools.of(index)
            ):
                reason = "stop"
            yield Finish(index, reason, stop_sequence=matched)

    def _finish_native(self) -> Iterator[Finish]:
        used = self._totals.completion_tokens if self._totals else self.counted_tokens
        if self._tools.has_any:
            yield from self._finish(0, "tool_calls")
        else:
            yield from self._finish(0, "length" if used >= self.output_cap else "stop")

    # --- what it used -----------------------------------------------------------

    def note_neurons(self, header: str | None) -> None:
        """What the answer's header says; whole answers have it in their body, too."""
        self.neurons = parse_neurons(header)

    def usage(self) -> Usage | None:
        """What upstream said the call used; None where it never said.

        The terminal frame has the totals. Without it: usage on chunks is an increment, the
        prompt's on the first chunk of each choice alone; models that repeat the prompt's
        tokens on each chunk send sums so far.
        """
        if self._totals:
            return self._totals
        sends_sums = self._prompt_reports > self.choices
        so_far = self._latest if sends_sums else self._increments
        if self._closing.completion_tokens > so_far.completion_tokens:
            return self._closing
        return so_far or None

    def _add_increment(self, usage: Usage) -> None:
        total = self._increments
        self._prompt_reports += bool(usage.prompt_tokens)
        self._latest = usage or self._latest
        total.prompt_tokens = max(total.prompt_tokens, usage.prompt_tokens)
        total.cached_tokens = max(total.cached_tokens, usage.cached_tokens)
        total.completion_tokens += usage.completion_tokens
        total.reasoning_tokens += usage.reasoning_tokens

    def _note_label(self, document: dict[str, Any]) -> None:
        label = document.get("system_fingerprint")
        if isinstance(label, str) and _LABEL.fullmatch(label):
            self.system_fingerprint = label

    def _index(self, choice: dict[str, Any]) -> int:
        """Streams of older models leave it out. Raises ValueError for one that nobody asked for."""
        index = choice.get("index")
        index = index if isinstance(index, int) else 0
        if not 0 <= index < self.choices:
            raise ValueError(f"choice {index} of {self.choices}")
        return index

    @property
    def most_tokens(self) -> int:
        return most_believable(self.output_cap * self.choices)

    def _tokens_of(self, event: Event) -> int:
        """A piece of a stream is mostly one token; more where a model sends many at once."""
        text = _text_of(event)
        if len(text) > LONGEST_TOKEN:
            return count_written(text, cap=self.output_cap * self.choices)
        return int(isinstance(event, Delta))


def _readable(read: Callable[..., Iterator[Event]], *document: dict[str, Any]) -> list[Event]:
    """The events of one frame or answer; a shape that nobody expects is upstream's fault."""
    try:
        return list(read(*document))
    except (AttributeError, KeyError, TypeError, ValueError) as exc:
        raise UpstreamCallError.unreadable(f"{type(exc).__name__}: {exc}") from exc


def _text_of(event: Event) -> str:
    if isinstance(event, Finish):
        return ""
    arguments = "".join(call["function"]["arguments"] for call in event.tool_calls)
    return event.content + event.reasoning + arguments


def _text_choice(choice: dict[str, Any]) -> dict[str, Any]:
    """A choice of a text completion has its text beside the index."""
    return {"content": choice["text"]} if "text" in choice else {}


def _matched(choice: dict[str, Any]) -> str | None:
    """The stop sequence that an engine says it has met; the number of a token is none."""
    matched = choice.get("matched_stop")
    return matched if isinstance(matched, str) else None
