"""Some models write a forced tool call as JSON into their text (seen with gpt-oss)."""

from collections.abc import Iterable, Iterator
from typing import Any

import orjson

from agentflare.ids import random_code
from inference.chat.events import Delta, Event, Finish


def recover_calls(
    events: Iterable[Event], *, functions: set[str], named: str | None
) -> Iterator[Event]:
    """The events of an answer in which a tool call was forced.

    Text is kept back to the end of its choice; where it turns out to be a call, it becomes one.
    functions: those offered; named: the one that was asked for by name.
    """
    texts: dict[int, str] = {}
    has_calls: set[int] = set()
    for event in events:
        if isinstance(event, Finish):
            text = texts.pop(event.index, "")
            call = None
            if text and event.index not in has_calls:
                call = _call_in(text, functions, named)
            if call:
                yield Delta(index=event.index, tool_calls=[call])
                event.reason = "tool_calls"
            elif text:
                yield Delta(index=event.index, content=text)
            yield event
            continue
        if event.tool_calls:
            has_calls.add(event.index)
        texts[event.index] = texts.get(event.index, "") + event.content
        event.content = ""
        if event:
            yield event


def _call_in(text: str, functions: set[str], named: str | None) -> dict[str, Any] | None:
    try:
        found = orjson.loads(text)
    except orjson.JSONDecodeError:
        return None
    if isinstance(found, list) and len(found) == 1:
        found = found[0]
    if not isinstance(found, dict):
        return None
    name: str | None = named
    arguments: Any = found
    if found.get("name") in functions:
        name = found["name"]
        arguments = found.get("arguments", found.get("parameters", {}))
    if name is None:
        return None
    as_text = arguments if isinstance(arguments, str) else orjson.dumps(arguments).decode()
    return {
        "index": 0,
        "id": f"call_{random_code(24)}",
        "type": "function",
        "function": {"name": name, "arguments": as_text},
    }
