"""From items to the messages that chat models take.

Messages stand in groups that are sent together or not at all: a tool's call never goes without its
result. System and developer items, wherever they stand, join the instructions: chat templates take
one system message, at the start.
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from agentflare.errors import InvalidRequestError
from agents.conversations.files import text_of_file

Item = Mapping[str, Any]
ChatMessage = dict[str, Any]
Part = dict[str, Any]
# What a model reads where a call never got its result.
NO_RESULT = "(There is no result: the call was given up.)"


@dataclass(slots=True)
class Group:
    """newest: the place of the newest of its items."""

    messages: list[ChatMessage]
    newest: int

    @property
    def is_users(self) -> bool:
        return bool(self.messages[0]["role"] == "user")

    @property
    def size(self) -> int:
        """Characters, pictures aside: what its share of a prompt is measured by."""
        return sum(map(_size, self.messages))


@dataclass(slots=True)
class History:
    """instructions: of the system and developer items."""

    instructions: list[str] = field(default_factory=list)
    groups: list[Group] = field(default_factory=list)

    def first_since(self, place: int) -> int:
        """The first group that has something of the items from a place on."""
        found = (n for n, group in enumerate(self.groups) if group.newest >= place)
        return next(found, len(self.groups))


def history_of(items: Iterable[Item], *, is_strict: bool) -> History:
    """items: as they are kept, the oldest first.

    is_strict: a call without a result is refused, as OpenAI does, and a result without a call; else
    the model reads that there is none, and nothing of the other. Raises InvalidRequestError.
    """
    items = list(items)
    gathering = _Gathering(items, is_strict=is_strict)
    for place, item in enumerate(items):
        gathering.add(place, item)
    gathering.close()
    if is_strict:
        gathering.require_no_results_left()
    _forget_old_thoughts(gathering.history.groups)
    return gathering.history


class _Gathering:
    def __init__(self, items: Iterable[Item], *, is_strict: bool) -> None:
        self.history = History()
        self._is_strict = is_strict
        self._results: defaultdict[str, list[tuple[int, Item]]] = defaultdict(list)
        for place, item in enumerate(items):
            if item["type"] == "function_call_output":
                self._results[item["call_id"]].append((place, item))
        self._thoughts = ""
        # The last answer, with the results of its calls, and whether these were passed.
        self._answer: ChatMessage | None = None
        self._told: list[ChatMessage] = []
        self._images: list[Part] = []
        self._is_answered = False
        self._newest = 0

    def add(self, place: int, item: Item) -> None:
        match item["type"]:
            case "message":
                self._add_message(place, item)
            case "function_call":
                self._add_call(place, item)
            case "function_call_output":
                self._is_answered = True
            case "reasoning":
                self.close()
                self._thoughts = _thoughts(item)

    def close(self) -> None:
        """The last answer is whole."""
        if self._answer is not None:
            images = [{"role": "user", "content": self._images}] if self._images else []
            messages = [self._answer, *self._told, *images]
            self.history.groups.append(Group(messages, self._newest))
        self._answer, self._told, self._images = None, [], []
        self._is_answered = False

    def require_no_results_left(self) -> None:
        for call_id, left in self._results.items():
            if left:
                raise InvalidRequestError(
                    f"No tool call found for function call output with call_id {call_id}.",
                    param="input",
                )

    def _add_message(self, place: int, item: Item) -> None:
        role, parts = item["role"], list(map(_part, item["content"]))
        if role in {"system", "developer"}:
            self.history.instructions.append(_text(parts))
            return
        self.close()
        if role == "assistant":
            self._begin_answer(_text(parts))
            self._newest = place
        else:
            message = {"role": "user", "content": _joined(parts)}
            self.history.groups.append(Group([message], place))

    def _add_call(self, place: int, item: Item) -> None:
        # Calls after the results of others are another step.
        if self._answer is None or self._is_answered:
            self.close()
            self._begin_answer("")
        assert self._answer is not None
        self._newest = max(self._newest, place)
        call_id = item["call_id"]
        # Arguments that broke off are no JSON, which engines refuse.
        is_whole = item.get("status") != "incomplete"
        function = {"name": item["name"], "arguments": item["arguments"] if is_whole else "{}"}
        call = {"id": call_id, "type": "function", "function": function}
        self._answer.setdefault("tool_calls", []).append(call)
        self._told.append(
            {"role": "tool", "tool_call_id": call_id, "content": self._result_of(call_id)}
        )

    def _begin_answer(self, text: str) -> None:
        self._answer = {"role": "assistant", "content": text}
        self._newest = 0
        if self._thoughts:
            self._answer["reasoning_content"] = self._thoughts
        self._thoughts = ""

    def _result_of(self, call_id: str) -> str:
        if not self._results[call_id]:
            if self._is_strict:
                raise InvalidRequestError(
                    f"No tool output found for function call {call_id}.", param="input"
                )
            return NO_RESULT
        place, result = self._results[call_id].pop(0)
        self._newest = max(self._newest, place)
        output = result["output"]
        parts = [_text_part(output)] if isinstance(output, str) else list(map(_part, output))
        # A `tool` message is text alone: images go to a user's message after it.
        if images := [part for part in parts if part["type"] == "image_url"]:
            self._images += [_text_part(f"Images in the result of {call_id}:"), *images]
        return _text(parts)


def _forget_old_thoughts(groups: list[Group]) -> None:
    """Models read what they thought since the user's last word, between calls of tools."""
    is_old = False
    for group in reversed(groups):
        is_old = is_old or group.is_users
        if is_old:
            group.messages[0].pop("reasoning_content", None)


def _thoughts(item: Item) -> str:
    parts = item.get("content") or item["summary"]
    return "\n".join(part["text"] for part in parts)


def _part(part: Mapping[str, Any]) -> Part:
    match part["type"]:
        case "input_image":
            detail = part.get("detail", "auto")
            image = {"url": part["image_url"], "detail": "high" if detail == "original" else detail}
            return {"type": "image_url", "image_url": image}
        case "input_file":
            return _text_part(text_of_file(part))
        case "refusal":
            return _text_part(part["refusal"])
    return _text_part(part["text"])


def _text_part(text: str) -> Part:
    return {"type": "text", "text": text}


def _text(parts: list[Part]) -> str:
    return "\n".join(part["text"] for part in parts if part["type"] == "text")


def _joined(parts: list[Part]) -> str | list[Part]:
    """One string where there is text alone, which every model takes."""
    return parts if any(part["type"] != "text" for part in parts) else _text(parts)


def _size(message: ChatMessage) -> int:
    content = message["content"]
    size = len(content) if isinstance(content, str) else len(_text(content))
    return size + sum(
        len(call["function"]["name"]) + len(call["function"]["arguments"])
        for call in message.get("tool_calls", ())
    )
