"""The native form: `{"response": …}`, with no role, no call ids and no finish reason."""

import json
from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing, suppress
from typing import Any

import orjson

from sandbox.workers_ai.chat.answers import Answer, Part, PartKind
from sandbox.workers_ai.chat.inputs import ChatCall
from sandbox.workers_ai.errors import JsonModeFailedError
from sandbox.workers_ai.script import Directive
from sandbox.workers_ai.streams import Frame, padding
from sandbox.workers_ai.usage import Usage

# Called when the answer is complete, with the completion tokens of all choices.
Totals = Callable[[int], Usage]


def native_result(
    call: ChatCall, parts: list[Part], usage: Usage, fingerprint: str, directive: Directive
) -> dict[str, Any]:
    """The `result` of a JSON answer. Raises JsonModeFailedError for JSON mode without JSON."""
    text = "".join(part.text for part in parts if part.kind is PartKind.CONTENT)
    tool_calls = native_tool_calls(parts)
    result: dict[str, Any] = {"response": text or None if tool_calls else text}
    if call.has_json_mode and not tool_calls:
        result["response"] = parsed_json(text)
    else:
        result["tool_calls"] = tool_calls
    if not directive.no_usage:
        result["usage"] = usage.as_json()
    result["system_fingerprint"] = fingerprint
    return result


async def native_frames(
    answer: Answer, totals: Totals, directive: Directive
) -> AsyncGenerator[Frame, None]:
    """Text as it comes, all tool calls in one frame, then the totals."""
    label = {"system_fingerprint": answer.fingerprint}
    tokens = 0
    tool_parts: list[Part] = []
    async with aclosing(answer.parts(0)) as parts:
        async for part in parts:
            tokens += part.tokens
            if part.kind in (PartKind.TOOL_NAME, PartKind.TOOL_ARGUMENTS):
                tool_parts.append(part)
            elif part.text:
                response = part_response(part.text, numeric=directive.numeric_chunks)
                data = {"response": response, "p": padding(), **label}
                yield Frame(data, is_chunk=True, tokens=part.tokens)
                if directive.null_chunks:
                    yield Frame({"response": None, "p": padding(), **label})
    if tool_parts:
        data = {"response": "", "tool_calls": native_tool_calls(tool_parts), "p": padding()}
        call_tokens = sum(part.tokens for part in tool_parts)
        yield Frame({**data, **label}, is_chunk=True, tokens=call_tokens)
    if not directive.no_terminal_frame:
        yield terminal_frame(totals(tokens), answer.fingerprint)


def terminal_frame(usage: Usage, fingerprint: str) -> Frame:
    """The totals, in the frame that streams of both forms end with."""
    return Frame({"response": "", "usage": usage.as_json(), "system_fingerprint": fingerprint})


def native_tool_calls(parts: list[Part]) -> list[dict[str, Any]]:
    """Calls with their arguments as objects; as text where they are no JSON."""
    calls: list[dict[str, Any]] = []
    for part in parts:
        if part.kind is PartKind.TOOL_NAME:
            calls.append({"name": part.text, "arguments": ""})
        elif part.kind is PartKind.TOOL_ARGUMENTS:
            calls[-1]["arguments"] += part.text
    for call in calls:
        with suppress(orjson.JSONDecodeError):
            call["arguments"] = orjson.loads(call["arguments"])
    return calls


def part_response(text: str, *, numeric: bool) -> Any:
    """The text; with `numeric` a JSON number, if it is written exactly as one."""
    if numeric:
        try:
            value = json.loads(text)
        except json.JSONDecodeError:
            return text
        if type(value) in (int, float) and json.dumps(value) == text:
            return value
    return text


def parsed_json(text: str) -> Any:
    try:
        return orjson.loads(text)
    except orjson.JSONDecodeError as error:
        raise JsonModeFailedError from error
