"""The estimate counts all that upstream will read."""

from typing import Any

import pytest

from agentflare.errors import ContextLengthError
from inference.catalog.selectors import read_catalogue
from inference.chat.estimate import estimate_chat
from inference.chat.params import ChatCompletionParams
from inference.chat.requests import upstream_body

LONG = "word " * 5_000
BOTH_FORMS = pytest.mark.parametrize("model", ["llama-3.3-70b-fast", "glm-4.7-flash"])


def estimate(model: str, messages: list[Any], **fields: Any) -> int:
    params = ChatCompletionParams.model_validate(
        {"model": model, "messages": messages, "max_tokens": 5, **fields}
    )
    offer = read_catalogue().find(model)
    return estimate_chat(params, offer, upstream_body(params, offer)).likely_prompt_tokens


@BOTH_FORMS
@pytest.mark.parametrize(
    "message",
    [
        {"role": "user", "content": LONG},
        {"role": "user", "content": [{"type": "text", "text": LONG}]},
        {"role": "assistant", "content": [{"type": "refusal", "refusal": LONG}]},
        {"role": "user", "content": "x", "name": LONG},
        {"role": "tool", "content": "x", "tool_call_id": LONG},
        {
            "role": "assistant",
            "tool_calls": [{"id": LONG, "function": {"name": "f", "arguments": "{}"}}],
        },
        {
            "role": "assistant",
            "tool_calls": [{"id": "c", "function": {"name": "f", "arguments": LONG}}],
        },
    ],
    ids=["text", "part", "refusal", "name", "tool_call_id", "call id", "arguments"],
)
def test_a_message_is_counted_wherever_its_text_stands(model: str, message: Any) -> None:
    assert estimate(model, [message]) > 5_000


@BOTH_FORMS
@pytest.mark.parametrize(
    "schema",
    [
        {"type": "object", "description": LONG},
        {"type": "object", "properties": {LONG: {}}},
        {"type": "image_url", "image_url": {"url": LONG}},
        {"type": "object", "enum": [[LONG]]},
    ],
)
def test_tools_and_schemas_are_counted(model: str, schema: dict[str, Any]) -> None:
    tool = {"type": "function", "function": {"name": "f", "parameters": schema}}
    form = {"type": "json_schema", "json_schema": {"name": "s", "schema": schema}}

    assert estimate(model, [{"role": "user", "content": "x"}], tools=[tool]) > 5_000
    assert estimate(model, [{"role": "user", "content": "x"}], response_format=form) > 5_000


def test_reasoning_of_earlier_turns_is_counted_and_unknown_fields_stay_here() -> None:
    turn = {"role": "assistant", "content": "x", "reasoning_content": LONG}
    assert estimate("glm-4.7-flash", [turn]) > 5_000

    unknown = {"role": "user", "content": "x", "notes": LONG}
    assert estimate("glm-4.7-flash", [unknown]) < 100


def test_an_image_is_counted_as_one_and_not_as_text() -> None:
    image = {"type": "image_url", "image_url": {"url": "data:image/png;base64," + "A" * 100_000}}
    counted = estimate("llama-4-scout", [{"role": "user", "content": [image]}])
    assert 500 < counted < 5_000


def test_a_text_that_no_window_holds_is_not_counted_first(monkeypatch: Any) -> None:
    monkeypatch.setattr("inference.chat.estimate.measure", None)
    with pytest.raises(ContextLengthError):
        estimate("llama-3.2-1b", [{"role": "user", "content": "a" * 10_000_000}])
