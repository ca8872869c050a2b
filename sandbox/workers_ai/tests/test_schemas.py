"""Plain values for schemas, and limits on them."""

from typing import Any

import jsonschema  # type: ignore[import-untyped]  # its stubs are not installed
import pytest

from sandbox.workers_ai.schemas import bounded, minimal_instance

SCHEMAS: list[dict[str, Any]] = [
    {"type": "object"},
    {"type": "object", "properties": {"a": {"type": "string"}}, "required": ["a"]},
    {
        "type": "object",
        "properties": {
            "n": {"type": "integer", "minimum": 3},
            "m": {"type": "number", "exclusiveMaximum": -1},
            "s": {"type": "string", "minLength": 2},
            "e": {"enum": ["x", "y"]},
            "c": {"const": 7},
            "l": {"type": "array", "items": {"type": "boolean"}, "minItems": 2},
            "u": {"anyOf": [{"type": "null"}, {"type": "string"}]},
            "k": {"type": "integer", "minimum": 4, "multipleOf": 5},
            "t": {"type": ["string", "null"]},
        },
        "required": ["n", "m", "s", "e", "c", "l", "u", "k", "t"],
    },
    {
        "$defs": {"Point": {"type": "object", "properties": {"x": {"type": "integer"}}}},
        "type": "object",
        "properties": {"p": {"$ref": "#/$defs/Point"}},
        "required": ["p"],
    },
    {
        "allOf": [
            {"type": "object", "properties": {"a": {"type": "integer"}}, "required": ["a"]},
            {"properties": {"b": {"type": "string"}}, "required": ["b"]},
        ]
    },
]


@pytest.mark.parametrize("schema", SCHEMAS)
def test_plain_value_fits(schema: dict[str, Any]) -> None:
    jsonschema.validate(minimal_instance(schema), schema)
    jsonschema.validate(minimal_instance(schema), bounded(schema))


def test_endless_reference_comes_to_an_end() -> None:
    node = {"type": "object", "properties": {"next": {"$ref": "#"}}, "required": ["next"]}

    value = minimal_instance(node)

    assert value["next"]["next"] is not None


def test_free_strings_and_lists_get_limits_and_others_keep_theirs() -> None:
    schema: dict[str, Any] = {
        "type": "object",
        "properties": {
            "free": {"type": "string"},
            "long": {"type": "string", "minLength": 200},
            "choice": {"type": "string", "enum": ["a"]},
            "list": {"type": "array", "items": {"type": "string"}},
            "number": {"type": "integer"},
            "small": {"type": "integer", "maximum": 3},
        },
    }

    limited = bounded(schema)["properties"]

    assert limited["free"]["maxLength"] == 60
    assert limited["long"]["maxLength"] == 200
    assert limited["choice"] == {"type": "string", "enum": ["a"]}
    assert limited["list"]["maxItems"] == 3
    assert limited["number"] == {"type": "integer", "minimum": 0, "maximum": 9_999}
    assert limited["small"] == {"type": "integer", "maximum": 3}
    assert limited["list"]["items"]["maxLength"] == 60
    assert "maxLength" not in schema["properties"]["free"]
