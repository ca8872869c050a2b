"""What becomes of Anthropic's parameters in OpenAI's form."""

from dataclasses import replace
from typing import Any

import pytest

from agentflare.errors import GatewayError, InvalidRequestError
from inference.catalog.selectors import read_catalogue
from inference.messages.params import MessageParams
from inference.messages.requests import chat_params, prepare_message

TOOL = {"name": "f", "input_schema": {"type": "object"}}


def params(**fields: Any) -> MessageParams:
    body = {"model": "m", "max_tokens": 9, "messages": [{"role": "user", "content": "Hi"}]}
    made = MessageParams.model_validate({**body, **fields})
    made.check()
    return made


def translated(**fields: Any) -> dict[str, Any]:
    chat = chat_params(params(**fields))
    return chat.model_dump(exclude_none=True, by_alias=True, warnings=False)


def test_what_has_another_name_is_translated() -> None:
    chat = translated(stop_sequences=["END"], temperature=1, top_p=0.5, top_k=5000, stream=True)
    assert (chat["max_tokens"], chat["stop"], chat["stream"]) == (9, ["END"], True)
    assert (chat["temperature"], chat["top_p"], chat["top_k"]) == (1.0, 0.5, 1000)
    assert "top_k" not in translated(top_k=0)


@pytest.mark.parametrize(
    ("fields", "effort", "switch"),
    [
        ({}, None, None),
        ({"thinking": {"type": "disabled"}}, "none", False),
        ({"thinking": {"type": "adaptive"}}, None, True),
        ({"thinking": {"type": "enabled", "budget_tokens": 1024}}, "low", True),
        ({"thinking": {"type": "enabled", "budget_tokens": 10_000}}, "medium", True),
        ({"thinking": {"type": "enabled", "budget_tokens": 32_000}}, "high", True),
        ({"output_config": {"effort": "max"}}, "max", None),
        ({"output_config": {"effort": "low"}, "thinking": {"type": "adaptive"}}, "low", True),
    ],
)
def test_thinking_is_an_effort_and_a_switch(
    fields: Any, effort: str | None, switch: bool | None
) -> None:
    chat = translated(**fields)
    assert chat.get("reasoning_effort") == effort
    assert chat.get("chat_template_kwargs", {}).get("enable_thinking") == switch


def test_a_model_that_cannot_think_is_not_told_to() -> None:
    offer = read_catalogue().find("llama-4-scout")
    able = replace(offer, capabilities=offer.capabilities | {"reasoning"})
    unable = replace(offer, capabilities=offer.capabilities - {"reasoning"})
    chat = chat_params(params(thinking={"type": "adaptive"}, output_config={"effort": "low"}))
    bodies = [
        prepare_message(chat, replace(each, answer_form="openai_chat_completion")).work.bodies[0]
        for each in (able, unable)
    ]
    assert bodies[0]["reasoning_effort"] == "low"
    assert bodies[0]["chat_template_kwargs"]["thinking"] is True
    assert not bodies[1].keys() & {"reasoning_effort", "chat_template_kwargs"}


@pytest.mark.parametrize(
    ("choice", "wanted"),
    [
        (None, None),
        ({"type": "auto"}, "auto"),
        ({"type": "any"}, "required"),
        ({"type": "none"}, "none"),
        ({"type": "tool", "name": "f"}, {"type": "function", "function": {"name": "f"}}),
    ],
)
def test_the_choice_of_tools(choice: Any, wanted: Any) -> None:
    chat = translated(tools=[TOOL], tool_choice=choice)
    assert chat.get("tool_choice") == wanted
    assert chat["tools"] == [
        {"type": "function", "function": {"name": "f", "parameters": {"type": "object"}}}
    ]


def test_a_schema_is_a_response_format_by_either_name() -> None:
    form = {"type": "json_schema", "schema": {"type": "object"}}
    for fields in ({"output_config": {"format": form}}, {"output_format": form}):
        wanted = translated(**fields)["response_format"]["json_schema"]
        assert (wanted["schema"], wanted["strict"]) == ({"type": "object"}, True)


def test_a_schema_that_is_none_is_refused_by_anthropics_name() -> None:
    form = {"type": "json_schema", "schema": {"type": 5}}
    with pytest.raises(InvalidRequestError, match=r"output_config\.format"):
        translated(output_config={"format": form})


def test_more_results_than_messages_may_be_are_refused() -> None:
    results = [{"type": "tool_result", "tool_use_id": f"c{n}"} for n in range(5_001)]
    with pytest.raises(GatewayError, match="'messages'"):
        translated(messages=[{"role": "user", "content": results}])
