"""From upstream's answer to events, whichever of the two forms it has.

The form is told by the shape of what arrives, not by the catalogue: models migrate.
"""

from collections.abc import Callable, Iterable, Iterator
from decimal import Decimal
from typing import Any

import orjson

from agentflare.ids import random_code
from inference.chat.events import Delta, Event, Finish, Usage
from inference.metering.measured import parse_neurons
from inference.tokens.counting import count_tokens
from inference.upstreams.failures import UpstreamCallError

# Where models that are not made for chat have their text.
_OTHER_TEXTS = ("description", "answer", "caption")
_FINISH_REASONS = {"stop", "length", "tool_calls", "content_filter", "function_call"}


class AnswerReader:
    """Reads one answer and keeps what was learned of it beside the text.

    output_cap: the tokens asked for at most; a native answer that used them all was cut.
    choices: how many this one answer must have.
    `counted_tokens` counts what was read so far, for answers that never tell a total;
    `has_output` tells whether anything came.
    """

    def __init__(self, *, output_cap: int, choices: int = 1) -> None:
        self.output_cap = output_cap
        self.choices = choices
        self.has_output = False
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
        self._called_tools: set[tuple[int, int]] = set()
        self._early_arguments: dict[tuple[int, int], str] = {}
        self._is_native = False
        self._saw_choices = False

    # --- a whole answer ---------------------------------------------------------

    def read_result(self, result: dict[str, Any]) -> Iterator[Event]:
        """Raises UpstreamCallError for an answer of no known form."""
        events = _readable(self._read_result, result)
        if self._totals is None:
            text = "".join(map(_text_of, events))
            self.counted_tokens = count_tokens(text)
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
                yield from self._finish(_index(choice), reason, matched=_matched(choice))
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
            if frame.get("errors") or frame.get("error"):
                raise UpstreamCallError.broken(orjson.dumps(frame)[:500].decode())
            self._note_label(frame)
            read = self._read_chunk if "choices" in frame else self._read_native_frame
            yield from _readable(read, frame)

    def finish_stream(self, *, saw_done: bool) -> Iterator[Event]:
        """Call it at the stream's end. Raises UpstreamCallError when something is missing."""
        if self._is_native and not self._finished and (saw_done or self._totals):
            yield from self._finish_native()
        if not self._finished or self._started - self._finished:
            raise UpstreamCallError.broken("the stream ended without a finish")
        if not saw_done and len(self._finished) < self.choices:
            raise UpstreamCallError.broken("the stream ended before its last choice")

    def _read_chunk(self, frame: dict[str, Any]) -> Iterator[Event]:
        self._saw_choices = True
        choices = frame["choices"] or []
        usage = Usage.parse(frame["usage"]) if isinstance(frame.get("usage"), dict) else Usage()
        if not choices:
            self._closing = usage or self._closing
            return
        self._add_increment(usage)
        for choice in choices:
            for event in self._read_choice(choice, choice.get("delta") or _text_choice(choice)):
                self.counted_tokens += 1
                yield event
            if reason := choice.get("finish_reason"):
                yield from self._finish(_index(choice), reason, matched=_matched(choice))

    def _read_native_frame(self, frame: dict[str, Any]) -> Iterator[Event]:
        if isinstance(usage := frame.get("usage"), dict):
            self._totals = Usage.parse(usage)
        if "response" in frame or "tool_calls" in frame:
            # The terminal frame of an OpenAI-shaped stream looks native, and says nothing.
            self._is_native = not self._saw_choices
            for event in self._read_native(frame):
                self.counted_tokens += 1
                yield event

    # --- the parts of both ------------------------------------------------------

    def _read_choice(self, choice: dict[str, Any], message: dict[str, Any]) -> Iterator[Delta]:
        index = _index(choice)
        delta = Delta(
            index=index,
            content=_text(message.get("content")),
            reasoning=_text(message.get("reasoning_content") or message.get("reasoning")),
            tool_calls=self._tool_fragments(index, message.get("tool_calls") or []),
            refusal=_text(message.get("refusal")),
            logprobs=choice.get("logprobs"),
        )
        if delta:
            yield self._note_output(delta)

    def _tool_fragments(self, choice: int, fragments: list[Any]) -> list[dict[str, Any]]:
        """Fragments with an index, strings for arguments, and an id and name on the first."""
        clean = []
        for position, fragment in enumerate(fragments):
            function = fragment.get("function") or {}
            index = fragment.get("index")
            index = index if isinstance(index, int) else position
            arguments = _text(function.get("arguments"))
            call = (choice, index)
            if call in self._called_tools:
                if arguments:
                    clean.append({"index": index, "function": {"arguments": arguments}})
            elif function.get("name"):
                self._called_tools.add(call)
                arguments = self._early_arguments.pop(call, "") + arguments
                clean.append(_tool_call(index, fragment.get("id"), function["name"], arguments))
            elif arguments:
                self._early_arguments[call] = self._early_arguments.get(call, "") + arguments
        return clean

    def _read_native(self, result: dict[str, Any]) -> Iterator[Delta]:
        calls = []
        for call in result.get("tool_calls") or []:
            function = call.get("function") or call
            index = len(self._called_tools)
            self._called_tools.add((0, index))
            calls.append(
                _tool_call(
                    index,
                    call.get("id"),
                    str(function.get("name")),
                    _text(function.get("arguments")) or "{}",
                )
            )
        delta = Delta(content=_text(result.get("response")), tool_calls=calls)
        if delta:
            yield self._note_output(delta)

    def _note_output(self, delta: Delta) -> Delta:
        self.has_output = True
        self._started.add(delta.index)
        return delta

    def _finish(self, index: int, reason: str, *, matched: str | None = None) -> Iterator[Finish]:
        if index not in self._finished:
            self._finished.add(index)
            reason = reason if reason in _FINISH_REASONS else "stop"
            yield Finish(index, reason, stop_sequence=matched)

    def _finish_native(self) -> Iterator[Finish]:
        used = self._totals.completion_tokens if self._totals else self.counted_tokens
        if self._called_tools:
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
        if isinstance(label, str):
            self.system_fingerprint = label


def _readable(
    read: Callable[[dict[str, Any]], Iterator[Event]], document: dict[str, Any]
) -> list[Event]:
    """The events of one frame or answer; a shape that nobody expects is upstream's fault."""
    try:
        return list(read(document))
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


def _index(choice: dict[str, Any]) -> int:
    """Streams of older models leave it out."""
    index = choice.get("index")
    return index if isinstance(index, int) else 0


def _matched(choice: dict[str, Any]) -> str | None:
    """The stop sequence that an engine says it has met; the number of a token is none."""
    matched = choice.get("matched_stop")
    return matched if isinstance(matched, str) else None


def _text(value: Any) -> str:
    """Upstream sends text as a string, a number, null, or (in JSON mode) as an object."""
    if value is None:
        return ""
    if isinstance(value, str):
        return value
    return orjson.dumps(value).decode()


def _tool_call(index: int, call_id: Any, name: str, arguments: str) -> dict[str, Any]:
    return {
        "index": index,
        "id": call_id or f"call_{random_code(24)}",
        "type": "function",
        "function": {"name": name, "arguments": arguments},
    }
