"""What the stand-in reads out of a conversation: schemas, keys, values for arguments."""

import json
from typing import Any

import jsonschema  # type: ignore[import-untyped]  # its stubs are not installed
import pytest

from sandbox.workers_ai.chat.words import MentionedValues, last_schema, pinned
from sandbox.workers_ai.schemas import minimal_instance
from sandbox.workers_ai.tests.client import NATIVE, OPENAI, Caller, ask, script

BOTH_FORMS = pytest.mark.parametrize("model", [NATIVE, OPENAI])
PERSON: dict[str, Any] = {
    "type": "object",
    "properties": {"name": {"type": "string"}, "age": {"type": "integer"}},
    "required": ["name", "age"],
}


def tool(name: str, description: str, **properties: Any) -> dict[str, Any]:
    parameters = {"type": "object", "properties": properties, "required": list(properties)}
    function = {"name": name, "description": description, "parameters": parameters}
    return {"type": "function", "function": function}


def answer(stand_in: Caller, model: str, body: dict[str, Any]) -> tuple[Any, list[Any]]:
    """Text (or parsed JSON) and tool calls as name and arguments, in either form."""
    result = stand_in.result(model, body)
    if model == NATIVE:
        calls = [(call["name"], call["arguments"]) for call in result.get("tool_calls") or []]
        return result["response"], calls
    message = result["choices"][0]["message"]
    functions = [call["function"] for call in message["tool_calls"]]
    return message["content"], [(f["name"], json.loads(f["arguments"])) for f in functions]


@BOTH_FORMS
def test_a_tool_that_shares_a_word_is_called_with_what_is_mentioned(
    stand_in: Caller, model: str
) -> None:
    tools = [
        tool("magic_function", "Applies magic", input={"type": "integer"}),
        tool("get_weather", "The weather at a location", location={"type": "string"}),
    ]

    for text, name, arguments in (
        ("What is magic_function(3)?", "magic_function", {"input": 3}),
        ("What is the weather in San Francisco, CA?", "get_weather", "San Francisco, CA"),
        ("The weather of '你好啊集团'", "get_weather", "你好啊集团"),
    ):
        wanted = {"location": arguments} if isinstance(arguments, str) else arguments
        assert answer(stand_in, model, ask(text, tools=tools))[1] == [(name, wanted)]
    assert answer(stand_in, model, ask("Good morning", tools=tools)) == ("Good morning", [])


@BOTH_FORMS
def test_after_a_tool_comes_text(stand_in: Caller, model: str) -> None:
    call = {"id": "c1", "type": "function", "function": {"name": "magic", "arguments": "{}"}}
    messages = [
        {"role": "user", "content": "magic 3"},
        {"role": "assistant", "content": "", "tool_calls": [call]},
        {"role": "tool", "tool_call_id": "c1", "content": "5"},
    ]
    body = {"messages": messages, "tools": [tool("magic", "", n={"type": "integer"})]}

    assert answer(stand_in, model, body) == ("magic 3", [])


@BOTH_FORMS
def test_a_schema_told_in_words_is_followed(stand_in: Caller, model: str) -> None:
    told = f"Answer with JSON that matches this schema:\n{json.dumps(PERSON)}\nNot the schema."
    messages = [
        {"role": "system", "content": told},
        {"role": "user", "content": "Jason is 25 years old"},
    ]

    plain, _ = answer(stand_in, model, {"messages": messages})
    in_json_mode, _ = answer(
        stand_in, model, {"messages": messages, "response_format": {"type": "json_object"}}
    )

    assert json.loads(plain) == {"name": "Jason", "age": 25}
    if isinstance(in_json_mode, str):
        in_json_mode = json.loads(in_json_mode)
    assert in_json_mode == {"name": "Jason", "age": 25}


def test_a_conversation_begun_by_a_directive_is_answered_by_the_newest_message(
    stand_in: Caller,
) -> None:
    messages = [
        {"role": "system", "content": f"Match this schema: {json.dumps(PERSON)}"},
        {"role": "user", "content": script(text="no")},
        {"role": "assistant", "content": "no"},
        {"role": "user", "content": "That is not JSON."},
    ]

    assert answer(stand_in, OPENAI, {"messages": messages}) == ("That is not JSON.", [])


def test_keys_named_in_json_mode_are_there(stand_in: Caller) -> None:
    text = "A joke as JSON with 'setup' and 'punchline' keys"
    body = ask(text, response_format={"type": "json_object"})

    assert stand_in.result(NATIVE, body)["response"].keys() == {"setup", "punchline"}


def test_the_last_schema_counts_and_other_objects_do_not() -> None:
    example = json.dumps({"properties": {"a": {}}})
    text = f'schema {example} fits {{"a": 1}}. Yours: {json.dumps(PERSON)} {{"b": 2}} {{broken'

    assert last_schema(text) == PERSON
    assert last_schema('no schema {"a": {"properties": 3}}') is None
    assert last_schema("{" * 5_000) is None


@pytest.mark.parametrize(
    ("schema", "text", "value"),
    [
        ({"type": "integer", "exclusiveMinimum": -1000, "exclusiveMaximum": 1000}, "f(3)", 3),
        ({"type": "integer", "minimum": 5}, "only 3", 5),
        ({"type": "integer"}, "2.5 or 7", 7),
        ({"type": "number"}, "-2.5", -2.5),
        ({"enum": ["celsius", "kelvin"]}, "in Kelvin please", "kelvin"),
        ({"enum": [1, 2]}, "1", 1),
        ({"type": "string"}, 'call it "Blue Moon" in Lima', "Blue Moon"),
        ({"type": "string", "maxLength": 3}, "Where is Lima", "Lim"),
        ({"type": "string", "minLength": 4}, "hm", "hmxx"),
        ({"type": "string", "format": "date"}, "Lima", "2026-01-01"),
        ({"type": "array", "items": {"type": "integer"}}, "3", [3]),
        ({"type": "array", "items": {}, "maxItems": 0}, "3", []),
    ],
)
def test_values_are_those_mentioned_where_they_fit(schema: Any, text: str, value: Any) -> None:
    filled = minimal_instance(schema, values=MentionedValues(text))

    assert filled == value
    jsonschema.validate(filled, schema)


def test_optional_properties_are_filled_unless_they_have_a_default() -> None:
    schema = {
        "properties": {"tasks": {"type": "array", "items": PERSON}, "note": {"default": None}}
    }

    filled = minimal_instance(schema, values=MentionedValues("Ann is 31"))

    assert filled == {"tasks": [{"name": "Ann", "age": 31}]}


def test_a_schema_within_itself_comes_to_an_end() -> None:
    schema: dict[str, Any] = {
        "$defs": {
            "Node": {
                "type": "object",
                "properties": {
                    "left": {"anyOf": [{"$ref": "#/$defs/Node"}, {"type": "null"}]},
                    "more": {"type": "array", "items": {"$ref": "#/$defs/Node"}},
                },
                "required": ["left", "more"],
            }
        },
        "$ref": "#/$defs/Node",
    }

    jsonschema.validate(minimal_instance(schema, values=MentionedValues("x")), schema)


def test_a_small_model_is_held_to_the_numbers_and_quotes_of_the_message() -> None:
    held = pinned(PERSON, "'Ann' is 31, not 30")["properties"]

    assert held == {"name": {"enum": ["Ann"]}, "age": {"enum": [31, 30]}}
    assert pinned(PERSON, "nothing") == PERSON
