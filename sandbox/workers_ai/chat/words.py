"""What a conversation asks for in words: a JSON schema, keys, values for arguments.

A real model reads all of this. The stand-in reads it by plain rules, so that clients which ask
for JSON in words, or check the arguments of a tool call, get what they would get elsewhere.
"""

import json
import re
from typing import Any

from sandbox.workers_ai.chat.inputs import ChatCall
from sandbox.workers_ai.schemas import ANY_OBJECT, Schema, Values
from sandbox.workers_ai.script import OPENING

MAX_SCANNED_CHARS = 100_000
MAX_STRING_CHARS = 200
MAX_OPENINGS = 200

NUMBER = re.compile(r"(?<![\w.])-?\d+(?:\.\d+)?")
QUOTED = re.compile(r"(?<!\w)(?:'([^'\n]+)'|\"([^\"\n]+)\"|`([^`\n]+)`)(?!\w)")
# Names begin with a capital letter; the first word of a sentence has one anyway.
NAME = re.compile(r"\b[A-Z]\w*(?:,? [A-Z]\w*)*")
SENTENCE_START = re.compile(r"(?:^|[.!?:]\s+|\n\s*)$")
KEYS_WANTED = re.compile(r"\b(keys?|fields?|properties)\b", re.IGNORECASE)
KEY = re.compile(r"[A-Za-z_]\w*")


class MentionedValues(Values):
    """Values for a schema, taken from a text in its order, each once."""

    def __init__(self, text: str, *, keys: tuple[str, ...] = ()) -> None:
        self._text = " ".join(text.split())
        self._numbers = NUMBER.findall(text)
        quotes = ["".join(groups) for groups in QUOTED.findall(text)]
        self._strings = [quote for quote in quotes if quote not in keys]
        self._strings += _names(QUOTED.sub(" ", text))

    def string(self) -> str:
        if self._strings:
            return self._strings.pop(0)
        return self._text[:MAX_STRING_CHARS]

    def number(self, *, is_whole: bool) -> int | float | None:
        for number in self._numbers:
            if not is_whole or "." not in number:
                self._numbers.remove(number)
                return float(number) if "." in number else int(number)
        return None

    def option(self, options: list[Any]) -> Any:
        text = self._text.lower()
        named = [o for o in options if isinstance(o, str) and o and o.lower() in text]
        return named[0] if named else options[0]


def _names(text: str) -> list[str]:
    """Names inside sentences, then those that may be one only because a sentence begins there."""
    found = list(NAME.finditer(text))
    starts = [bool(SENTENCE_START.search(text[: match.start()])) for match in found]
    inside = [match.group() for match, is_start in zip(found, starts, strict=True) if not is_start]
    first = [match.group() for match, is_start in zip(found, starts, strict=True) if is_start]
    return [*inside, *first]


def told_schema(call: ChatCall) -> Schema | None:
    """The JSON schema that an answer is asked to match in words; None where none is."""
    for message in reversed(call.messages):
        if message.role in ("assistant", "tool") or "schema" not in message.text.lower():
            continue
        if (schema := last_schema(message.text)) is not None:
            return schema
    return None


def last_schema(text: str) -> Schema | None:
    """The last JSON schema of an object in a text: those before it tend to be examples."""
    decoder = json.JSONDecoder()
    text = text[:MAX_SCANNED_CHARS]
    found, at = None, text.find("{")
    for _ in range(MAX_OPENINGS):
        if at < 0:
            break
        try:
            value, end = decoder.raw_decode(text, at)
        except (json.JSONDecodeError, RecursionError):
            value, end = None, at + 1
        if isinstance(value, dict) and isinstance(value.get("properties"), dict):
            found = value
        at = text.find("{", end)
    return found


def told_keys(call: ChatCall) -> tuple[str, ...]:
    """The keys that the newest user message wants an object to have: "'a' and 'b' keys"."""
    text = call.newest_user_text
    if not KEYS_WANTED.search(text):
        return ()
    quotes = ["".join(groups) for groups in QUOTED.findall(text)]
    return tuple(dict.fromkeys(quote for quote in quotes if KEY.fullmatch(quote)))


def wanted_schema(call: ChatCall) -> Schema | None:
    """What the answer must fit: the schema of the call, else what is asked for in words.

    Nothing is read out of a conversation that a directive has begun: its script does not say so.
    """
    is_scripted = any(OPENING.search(message.text) for message in call.messages)
    if is_scripted or call.json_schema not in (None, ANY_OBJECT):
        return call.json_schema
    if (schema := told_schema(call)) is not None:
        return schema
    if call.json_schema is not None and (keys := told_keys(call)):
        strings = {key: {"type": "string"} for key in keys}
        return {"type": "object", "properties": strings, "required": list(keys)}
    return call.json_schema


def pinned(schema: Any, text: str) -> Any:
    """The schema with its whole numbers and strings held to those that the text has, if it does.

    For a local model too small to copy them by itself.
    """
    if not isinstance(schema, dict) or not isinstance(schema.get("properties"), dict):
        return schema
    wholes = [int(number) for number in NUMBER.findall(text) if "." not in number]
    quotes = ["".join(groups) for groups in QUOTED.findall(text)]
    choices = {"integer": wholes, "string": quotes}

    def held(value: Any) -> Any:
        kind = value.get("type") if isinstance(value, dict) else None
        if not isinstance(kind, str) or not choices.get(kind) or value.keys() & {"enum", "const"}:
            return value
        return {"enum": choices[kind]}

    properties = {name: held(value) for name, value in schema["properties"].items()}
    return {**schema, "properties": properties}
