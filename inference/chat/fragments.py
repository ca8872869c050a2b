"""Tool calls in an answer, whole or in fragments, in OpenAI's form."""

from dataclasses import dataclass
from typing import Any

import orjson

from agentflare.ids import random_code


@dataclass(slots=True)
class _Call:
    """A call as it comes. `index` is ours: upstream's may be missing, or be used twice."""

    index: int
    upstream_id: str | None = None
    name: str = ""
    early_arguments: str = ""


class ToolFragments:
    """The calls of one answer, by choice.

    Its fragments have an index, strings for arguments, and an id and a name on the first of each
    call. Raises ValueError or AttributeError for what is no call.
    """

    def __init__(self) -> None:
        self._calls: dict[int, list[_Call]] = {}
        # The call that a fragment with upstream's index goes on with.
        self._current: dict[tuple[int, int], _Call] = {}

    @property
    def has_any(self) -> bool:
        return bool(self._calls)

    def of(self, choice: int) -> int:
        """How many calls the choice has."""
        return len(self._calls.get(choice, []))

    def read(self, choice: int, fragments: list[Any]) -> list[dict[str, Any]]:
        """Those of one chunk that a client can use: nulls are dropped, and arguments that come
        before the name are kept until it is there."""
        clean = []
        for position, fragment in enumerate(fragments):
            if fragment is None:
                continue
            function = fragment.get("function") or {}
            name, arguments = _name(function), as_text(function.get("arguments"))
            call = self._call_of(choice, _index(fragment, position), fragment.get("id"), name)
            if call.name:
                if arguments:
                    clean.append({"index": call.index, "function": {"arguments": arguments}})
            elif name:
                call.name = name
                arguments = call.early_arguments + arguments
                clean.append(_tool_call(call, arguments))
            else:
                call.early_arguments += arguments
        return clean

    def whole(self, call: Any) -> dict[str, Any]:
        """A native one, which comes in one piece: its arguments are an object mostly."""
        function = call.get("function") or call
        made = self._new(0, call.get("id"))
        made.name = _name(function)
        self.check(0)
        return _tool_call(made, as_text(function.get("arguments")) or "{}")

    def check(self, choice: int) -> None:
        """At a choice's end. Raises ValueError for a call whose name never came."""
        if not all(call.name for call in self._calls.get(choice, [])):
            raise ValueError("a tool call without a name")

    def _call_of(self, choice: int, index: int, call_id: Any, name: str) -> _Call:
        """A second call may come under the index of the first: it has another name or id."""
        call = self._current.get((choice, index))
        is_another = bool(
            call
            and call.name
            and name
            and (name != call.name or (call_id and call.upstream_id not in (None, call_id)))
        )
        if call is None or is_another:
            call = self._current[choice, index] = self._new(choice, call_id)
        elif call.upstream_id is None:
            call.upstream_id = _id(call_id)
        return call

    def _new(self, choice: int, call_id: Any) -> _Call:
        calls = self._calls.setdefault(choice, [])
        calls.append(_Call(len(calls), _id(call_id)))
        return calls[-1]


def as_text(value: Any) -> str:
    """Upstream sends text as a string, a number, null, parts, or (in JSON mode) an object."""
    if value is None:
        return ""
    if isinstance(value, str):
        return value
    if isinstance(value, list) and value and all(map(_is_part, value)):
        return "".join(part["text"] for part in value)
    return orjson.dumps(value).decode()


def _is_part(value: Any) -> bool:
    return (
        isinstance(value, dict)
        and value.get("type") in {"text", "output_text"}
        and isinstance(value.get("text"), str)
    )


def _index(fragment: dict[str, Any], position: int) -> int:
    index = fragment.get("index")
    return index if isinstance(index, int) else position


def _name(function: dict[str, Any]) -> str:
    name = function.get("name")
    if name is not None and not isinstance(name, str):
        raise ValueError("the name of a function is no text")
    return name or ""


def _id(call_id: Any) -> str | None:
    return call_id if isinstance(call_id, str) and call_id else None


def _tool_call(call: _Call, arguments: str) -> dict[str, Any]:
    return {
        "index": call.index,
        "id": call.upstream_id or f"call_{random_code(24)}",
        "type": "function",
        "function": {"name": call.name, "arguments": arguments},
    }
