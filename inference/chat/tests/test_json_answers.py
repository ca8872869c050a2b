from typing import Any

import orjson
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


def test_a_hostile_pattern_for_names_costs_no_time() -> None:
    schema = {
        "type": "object",
        "patternProperties": {"^(a+)+$": {}},
        "additionalProperties": False,
        "unevaluatedProperties": False,
    }
    check_schema(schema)
    assert read_json('{"%s!": 1}' % ("a" * 5_000), schema)


@pytest.mark.parametrize("reference", ["$ref", "$dynamicRef"])
def test_references_that_double_each_other_end(reference: str) -> None:
    definitions: dict[str, Any] = {"a0": {"type": "object"}}
    for number in range(1, 40):
        inner = {reference: f"#/$defs/a{number - 1}"}
        definitions[f"a{number}"] = {"allOf": [inner, inner]}
    schema = {"$defs": definitions, reference: "#/$defs/a39"}
    check_schema(schema)

    with pytest.raises(NoJsonError, match="too far"):
        read_json("{}", schema)


def test_a_schema_that_would_take_seconds_to_check_is_refused() -> None:
    properties = {f"p{number}": {"type": "string"} for number in range(20_000)}
    with pytest.raises(InvalidRequestError, match="500 parts"):
        check_schema({"type": "object", "properties": properties})


@pytest.mark.parametrize(
    "rules",
    [
        {"properties": {f"p{number}": True for number in range(2_000)}},
        {"required": [f"p{number}" for number in range(4_000)]},
        {"enum": list(range(4_000))},
    ],
)
def test_nor_can_its_size_be_hidden_in_what_is_no_object(rules: dict[str, Any]) -> None:
    with pytest.raises(InvalidRequestError, match="500 parts"):
        check_schema({"type": "object", **rules})


def test_a_schema_nested_without_end_is_refused() -> None:
    schema: dict[str, Any] = {}
    for _ in range(5_000):
        schema = {"not": schema}
    with pytest.raises(InvalidRequestError):
        check_schema(schema)


def test_a_long_answer_under_many_rules_ends() -> None:
    schema = {"type": "object", "additionalProperties": {"items": {"allOf": [{}] * 400}}}
    check_schema(schema)

    with pytest.raises(NoJsonError, match="too far"):
        read_json('{"a": %s}' % ([0] * 5_000), schema)


@pytest.mark.parametrize(
    ("items", "is_unique"), [([{}, []], True), ([{"a": 1}] * 2, False), ([{}] * 30_000, False)]
)
def test_elements_that_must_differ(items: list[Any], is_unique: bool) -> None:
    schema = {"type": "object", "properties": {"a": {"uniqueItems": True}}}
    text = orjson.dumps({"a": items}).decode()
    if is_unique:
        assert read_json(text, schema)
        return
    with pytest.raises(NoJsonError, match="properties/a/uniqueItems"):
        read_json(text, schema)


def test_the_refusal_of_an_answer_does_not_hold_it() -> None:
    schema = {"type": "object", "additionalProperties": {"type": "integer"}}
    for answer in ('{"a": "what was to be paid"}', '{"what was to be paid": ""}'):
        with pytest.raises(NoJsonError) as caught:
            read_json(answer, schema)
        assert "what" not in str(caught.value)
        assert "additionalProperties/type" in str(caught.value)


def test_a_number_beyond_64_bits_is_no_trouble() -> None:
    schema = {"type": "object", "properties": {"n": {"maximum": 2**70}}}
    check_schema(schema)
    assert read_json('{"n": 1}', schema) == '{"n": 1}'
