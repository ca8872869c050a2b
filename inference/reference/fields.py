"""A schema as people read it: a table of its fields, with tables inside it."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from django.utils.safestring import SafeString

from inference.reference.prose import inline
from inference.reference.schemas import Schema
from inference.reference.words import IGNORED, NOT_HERE

_NAMES = {"object": "object", "string": "string", "integer": "integer", "number": "number"}


@dataclass(frozen=True, slots=True)
class Table:
    """title: of which member of a union, or of what in a list. Empty: the only one."""

    title: str
    rows: list["Row"]
    ignored: list[str]
    not_here: list[str]


@dataclass(frozen=True, slots=True)
class Row:
    """limits: ranges, lengths and the values there are."""

    name: str
    type: str
    is_required: bool
    limits: list[str]
    values: list[str]
    meaning: SafeString
    tables: list[Table] = field(default_factory=list)


class FieldReader:
    """For one place of the page: a schema that comes again there is not shown again."""

    def __init__(self, document: Schema) -> None:
        self._schemas: dict[str, Schema] = document["components"]["schemas"]
        self._shown: set[str] = set()

    def table(self, schema: Schema, *, title: str = "") -> Table:
        """Of an object."""
        found = self._resolved(schema)
        required = found.get("required", [])
        properties: dict[str, Schema] = found.get("properties", {})
        meanings = {name: told.get("description", "") for name, told in properties.items()}
        hidden = {IGNORED, NOT_HERE}
        return Table(
            title,
            [
                self._row(name, told, is_required=name in required)
                for name, told in properties.items()
                if meanings[name] not in hidden
            ],
            [name for name, meaning in meanings.items() if meaning == IGNORED],
            [name for name, meaning in meanings.items() if meaning == NOT_HERE],
        )

    def _row(self, name: str, schema: Schema, *, is_required: bool) -> Row:
        members = list(self._members(schema))
        return Row(
            name,
            " or ".join(dict.fromkeys(self.type_of(member) for member in members)) or "any",
            is_required,
            list(dict.fromkeys(limit for member in members for limit in limits_of(member))),
            list(dict.fromkeys(value for member in members for value in values_of(member))),
            inline(schema.get("description", "")),
            [table for member in members for table in self._tables(member)],
        )

    def _resolved(self, schema: Schema) -> Schema:
        if "$ref" in schema:
            return self._schemas[schema["$ref"].rpartition("/")[2]]
        return schema

    def _members(self, schema: Schema) -> Iterator[Schema]:
        """Of a union, each that is not null; references as they are."""
        found = self._resolved(schema) if "$ref" not in schema else schema
        for union in ("anyOf", "oneOf"):
            if "type" not in found and union in found:
                for member in found[union]:
                    yield from self._members(member)
                return
        if found.get("type") != "null":
            yield found

    def type_of(self, schema: Schema) -> str:
        found = self._resolved(schema)
        kind = found.get("type")
        if found.get("format") == "binary":
            return "file"
        if isinstance(kind, list):
            return " or ".join(one for one in kind if one != "null")
        if kind == "array":
            inner = list(self._members(found.get("items", {})))
            names = dict.fromkeys(_plural(self.type_of(member)) for member in inner)
            return f"array of {' or '.join(names)}" if names else "array"
        if kind is None and ("const" in found or "enum" in found):
            return "string"
        return _NAMES.get(kind or "", kind or "any")

    def _tables(self, member: Schema) -> Iterator[Table]:
        """Of the objects that a value may be, or that may be in it."""
        name = member.get("$ref", "")
        found = self._resolved(member)
        if found.get("type") == "array":
            for inner in self._members(found.get("items", {})):
                yield from self._tables(inner)
            return
        if not found.get("properties") or name in self._shown:
            return
        if name:
            self._shown.add(name)
        yield self.table(found, title=_title(found))


def _title(schema: Schema) -> str:
    """By its `type`, where it has one that says so."""
    told = schema["properties"].get("type", {})
    value = told.get("const")
    return f"type {value}" if value else ""


def _plural(name: str) -> str:
    return f"{name}s" if name in {*_NAMES, "file", "boolean"} else name


def limits_of(schema: Schema) -> list[str]:
    """In words. Sizes beyond what anybody sends are no news."""
    told: list[str] = []
    low, high = schema.get("minimum"), schema.get("maximum")
    if low is not None and high is not None and abs(high) < 2**32:
        told.append(f"{_number(low)} to {_number(high)}")
    elif low is not None and abs(low) < 2**32:
        told.append(f"at least {_number(low)}")
    for name, unit in (("Items", "items"), ("Length", "characters")):
        least, most = schema.get(f"min{name}"), schema.get(f"max{name}")
        if most is not None:
            told.append(f"at most {most:,} {unit}")
        elif least:
            told.append("not empty")
    return told


def _number(value: Any) -> str:
    return f"{value:,}" if isinstance(value, int) else f"{value:g}"


def values_of(schema: Schema) -> list[str]:
    if "const" in schema:
        return [str(schema["const"])]
    inner = schema.get("items")
    values = schema.get("enum") or (inner.get("enum") if isinstance(inner, dict) else None) or []
    return [str(value) for value in values if value is not None]
