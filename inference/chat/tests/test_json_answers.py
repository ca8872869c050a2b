from typing import Any

import pytest

from agentflare.errors import InvalidRequestError
from inference.chat.json_answers import NoJsonError, check_schema, read_json

SCHEMA: dict[str, Any] = {
    "type": "object",
    "properties": {"n": {"type": "integer"}},
    "required": ["n"],
}


@pytest.mark.parametrize(
    "text",
    ['{"n": 1}', '  {"n": 1}\n', '```json\n{"n": 1}\n```', '```\n{"n": 1}```', 'Here: {"n": 1} ok'],
)
def test_the_json_alone_is_taken_out(text: str) -> None:
    assert read_json(text, SCHEMA) == '{"n": 1}'


@pytest.mark.parametrize("text", ["", "no", '{"n": "1"}', "{}", "[1]", '{"n": 1', "```", "}{"])
def test_what_does_not_fit_is_no_answer(text: str) -> None:
    with pytest.raises(NoJsonError):
        read_json(text, SCHEMA)


def test_without_a_schema_any_object_will_do() -> None:
    assert read_json('{"a": []}', None) == '{"a": []}'
    with pytest.raises(NoJsonError):
        read_json("[1]", None)


def test_a_reference_to_elsewhere_is_never_fetched() -> None:
    schema = {"$ref": "http://127.0.0.1:1/schema.json"}
    check_schema(schema)
    with pytest.raises(NoJsonError, match="cannot be followed"):
        read_json("{}", schema)


def test_a_hostile_pattern_costs_no_time() -> None:
    schema = {"type": "object", "properties": {"a": {"type": "string", "pattern": "^(a+)+$"}}}
    check_schema(schema)
    assert read_json('{"a": "%s!"}' % ("a" * 5_000), schema)


def test_references_that_double_each_other_end() -> None:
    definitions: dict[str, Any] = {"a0": {"type": "object"}}
    for number in range(1, 40):
        reference = {"$ref": f"#/$defs/a{number - 1}"}
        definitions[f"a{number}"] = {"allOf": [reference, reference]}
    schema = {"$defs": definitions, "$ref": "#/$defs/a39"}
    check_schema(schema)

    with pytest.raises(NoJsonError, match="too far"):
        read_json("{}", schema)


def test_a_schema_that_would_take_seconds_to_check_is_refused() -> None:
    properties = {f"p{number}": {"type": "string"} for number in range(20_000)}
    with pytest.raises(InvalidRequestError, match="500 parts"):
        check_schema({"type": "object", "properties": properties})


def test_a_schema_nested_without_end_is_refused() -> None:
    schema: dict[str, Any] = {}
    for _ in range(5_000):
        schema = {"not": schema}
    with pytest.raises(InvalidRequestError):
        check_schema(schema)
