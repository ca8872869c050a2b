"""As much of GraphQL as is needed to ask for a dataset: one query, arguments, variables."""

import re
from dataclasses import dataclass, field
from typing import Any, Final

TOKEN: Final = re.compile(
    r"""(?P<space>[\s,]+|\#[^\n]*)
      | (?P<name>[_A-Za-z]\w*)
      | (?P<number>-?\d+(?:\.\d+)?)
      | "(?P<string>[^"\\]*)"
      | (?P<mark>[{}()\[\]:!=$])""",
    re.VERBOSE,
)
CONSTANTS: Final = {"true": True, "false": False, "null": None}


class QueryError(Exception):
    """The query cannot be processed."""


@dataclass
class Field:
    """One field asked for. key: its name in the answer."""

    name: str
    key: str
    arguments: dict[str, Any] = field(default_factory=dict)
    fields: list["Field"] = field(default_factory=list)


def parse_query(text: str, variables: dict[str, Any]) -> list[Field]:
    """The fields of the query, with variables put in. Raises QueryError."""
    return _Parser(text, variables).query()


class _Parser:
    def __init__(self, text: str, variables: dict[str, Any]) -> None:
        self._tokens = list(_tokens(text))
        self._at = 0
        self._variables = variables

    def query(self) -> list[Field]:
        if self._peek() == ("name", "query"):
            self._at += 1
            if self._peek()[0] == "name":
                self._at += 1
            if self._takes("("):
                self._declarations()
        fields = self._fields()
        if self._at != len(self._tokens):
            raise QueryError("error parsing query: there is more than one operation")
        return fields

    def _declarations(self) -> None:
        while not self._takes(")"):
            self._expect("$")
            name = self._name()
            self._expect(":")
            while not self._takes("!") and self._peek()[0] in ("name", "mark"):
                if self._peek() in (("mark", "$"), ("mark", ")"), ("mark", "=")):
                    break
                self._at += 1
            if self._takes("="):
                self._variables.setdefault(name, self._value())
            if name not in self._variables:
                raise QueryError(f'error parsing args: variable "${name}" is not given')

    def _fields(self) -> list[Field]:
        self._expect("{")
        fields = []
        while not self._takes("}"):
            name = key = self._name()
            if self._takes(":"):
                name = self._name()
            found = Field(name, key)
            if self._takes("("):
                while not self._takes(")"):
                    argument = self._name()
                    self._expect(":")
                    found.arguments[argument] = self._value()
            if self._peek() == ("mark", "{"):
                found.fields = self._fields()
            fields.append(found)
        if not fields:
            raise QueryError("object field must have selections")
        return fields

    def _value(self) -> Any:
        kind, text = self._peek()
        self._at += 1
        match kind, text:
            case "string", _:
                return text
            case "number", _:
                return float(text) if "." in text else int(text)
            case "name", _:
                return CONSTANTS.get(text, text)
            case "mark", "$":
                name = self._name()
                if name not in self._variables:
                    raise QueryError(f'error parsing args: variable "${name}" is not declared')
                return self._variables[name]
            case "mark", "[":
                values = []
                while not self._takes("]"):
                    values.append(self._value())
                return values
            case "mark", "{":
                members = {}
                while not self._takes("}"):
                    key = self._name()
                    self._expect(":")
                    members[key] = self._value()
                return members
        raise QueryError(f"error parsing query: unexpected {text!r}")

    def _name(self) -> str:
        kind, text = self._peek()
        if kind != "name":
            raise QueryError(f"error parsing query: a name was expected at {text!r}")
        self._at += 1
        return text

    def _peek(self) -> tuple[str, str]:
        return self._tokens[self._at] if self._at < len(self._tokens) else ("end", "its end")

    def _takes(self, mark: str) -> bool:
        if self._peek() == ("mark", mark):
            self._at += 1
            return True
        if self._peek()[0] == "end":
            raise QueryError(f"error parsing query: {mark!r} is missing")
        return False

    def _expect(self, mark: str) -> None:
        if not self._takes(mark):
            raise QueryError(f"error parsing query: {mark!r} was expected")


def _tokens(text: str) -> list[tuple[str, str]]:
    tokens, at = [], 0
    while at < len(text):
        found = TOKEN.match(text, at)
        if found is None:
            raise QueryError(f"error parsing query: unexpected {text[at]!r}")
        kind = found.lastgroup or ""
        if kind != "space":
            tokens.append((kind, found[kind]))
        at = found.end()
    return tokens
