"""Real text of the local model. Few tokens a call: it writes some 60 a second."""

import json
import time
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from sandbox.workers_ai.tests.client import NATIVE, OPENAI, Caller, ask, frames, script, wait_until

LABEL = "sandbox-smollm2-135m"
WEATHER = {
    "type": "function",
    "function": {
        "name": "get_weather",
        "description": "Tells the current weather of a city",
        "parameters": {
            "type": "object",
            "properties": {
                "city": {"type": "string"},
                "unit": {"type": "string", "enum": ["celsius", "fahrenheit"]},
            },
            "required": ["city", "unit"],
        },
    },
}


def test_text_of_a_native_model(real: Caller) -> None:
    result = real.result(NATIVE, ask("Write one sentence about the sea.", max_tokens=12))

    assert len(result["response"]) > 5
    assert result["usage"]["completion_tokens"] == 12
    assert result["system_fingerprint"] == LABEL


def test_stream_adds_up(real: Caller) -> None:
    body = ask("Write one sentence about the sea.", max_tokens=12, stream=True)

    events = frames(real.chat(OPENAI, body))

    assert all(event["system_fingerprint"] == LABEL for event in events[:-1])
    increments = [event["usage"] for event in events[:-2]]
    total = events[-2]["usage"]
    assert sum(usage["completion_tokens"] for usage in increments) == 12
    assert total["completion_tokens"] == 12
    assert sum(usage["prompt_tokens"] for usage in increments) == total["prompt_tokens"]
    assert events[-4]["choices"][0]["finish_reason"] == "length"


def test_same_seed_gives_the_same_text(real: Caller) -> None:
    body = ask("Tell me something.", max_tokens=8, temperature=0, seed=1)

    texts = {real.result(NATIVE, body)["response"] for _ in range(2)}

    assert len(texts) == 1


def test_raw_prompt_is_gone_on_with(real: Caller) -> None:
    body = {"prompt": "Once upon a time", "max_tokens": 8, "temperature": 0, "seed": 1}

    raw = real.result(NATIVE, {**body, "raw": True})
    asked = real.result(NATIVE, body)

    assert raw["usage"]["completion_tokens"] == 8
    assert raw["response"] != asked["response"]
    assert raw["response"][0] in " ,"


def test_stop_is_honoured(real: Caller) -> None:
    body = ask("Count: one two three", max_tokens=16, stop=["e"])

    (choice,) = real.chat(OPENAI, body).json()["choices"]

    assert "e" not in (choice["message"]["content"] or "")


def test_directive_about_pace_alone_leaves_the_text_to_the_model(real: Caller) -> None:
    result = real.result(NATIVE, ask(script("Write one sentence.", delay_ms=1), max_tokens=8))

    assert result["system_fingerprint"] == LABEL
    assert "sandbox" not in result["response"]


def test_directives_work_beside_real_text(real: Caller) -> None:
    result = real.result(NATIVE, ask(script(text="scripted")))

    assert result["response"] == "scripted"
    assert result["system_fingerprint"] == "sandbox-scripted"


@pytest.mark.parametrize("model", [NATIVE, OPENAI])
def test_json_mode_fits_the_schema(real: Caller, model: str) -> None:
    schema = {
        "type": "object",
        "properties": {"ok": {"type": "boolean"}},
        "required": ["ok"],
        "additionalProperties": False,
    }
    wrapped = schema if model == NATIVE else {"name": "x", "schema": schema}
    body = ask(
        "Is water wet?",
        max_tokens=32,
        temperature=0,
        response_format={"type": "json_schema", "json_schema": wrapped},
    )

    result = real.result(model, body)

    answer = result.get("response") or json.loads(result["choices"][0]["message"]["content"])
    assert set(answer) == {"ok"}
    assert isinstance(answer["ok"], bool)


def test_schema_that_the_engine_does_not_take(real: Caller) -> None:
    response_format = {"type": "json_schema", "json_schema": {"type": "bogus"}}

    response = real.run(NATIVE, ask("x", max_tokens=8, response_format=response_format))

    assert real.error(response)[:2] == (400, 5024)


def tool_calls(real: Caller, text: str, **fields: Any) -> list[dict[str, Any]]:
    body = ask(text, tools=[WEATHER], max_tokens=60, **fields)
    message = real.chat(OPENAI, body).json()["choices"][0]["message"]
    calls: list[dict[str, Any]] = message["tool_calls"]
    return calls


def check_arguments(call: dict[str, Any]) -> None:
    arguments = json.loads(call["function"]["arguments"])
    assert set(arguments) == {"city", "unit"}
    assert arguments["unit"] in ("celsius", "fahrenheit")


def test_tool_is_called_when_the_question_is_about_it(real: Caller) -> None:
    (call,) = tool_calls(real, "How is the WEATHER in Lima?")

    assert call["function"]["name"] == "get_weather"
    check_arguments(call)


def test_tool_is_not_called_when_the_question_is_about_something_else(real: Caller) -> None:
    assert tool_calls(real, "Tell me a joke.", max_completion_tokens=4) == []
    assert tool_calls(real, "Weather?", tool_choice="none", max_completion_tokens=4) == []


def test_tool_that_must_be_called_is(real: Caller) -> None:
    (call,) = tool_calls(real, "Tell me a joke.", tool_choice="required")

    check_arguments(call)


def test_tool_with_a_schema_that_the_engine_does_not_take_gets_plain_arguments(
    real: Caller,
) -> None:
    bogus = {"type": "object", "properties": {"a": {"type": "bogus"}}, "required": ["a"]}
    tool = {"type": "function", "function": {"name": "odd", "parameters": bogus}}

    body = ask("x", tools=[tool], tool_choice="required", max_tokens=16)
    (call,) = real.chat(OPENAI, body).json()["choices"][0]["message"]["tool_calls"]

    assert json.loads(call["function"]["arguments"]) == {"a": "x"}


def test_after_a_tools_result_comes_text(real: Caller) -> None:
    function = {"name": "get_weather", "arguments": '{"city":"Lima","unit":"celsius"}'}
    messages = [
        {"role": "user", "content": "Weather in Lima?"},
        {
            "role": "assistant",
            "content": None,
            "tool_calls": [{"id": "c", "type": "function", "function": function}],
        },
        {"role": "tool", "tool_call_id": "c", "content": "19 degrees, sunny"},
    ]

    body = {"messages": messages, "tools": [WEATHER], "max_tokens": 12}
    message = real.chat(OPENAI, body).json()["choices"][0]["message"]

    assert message["tool_calls"] == []
    assert message["content"]


@pytest.mark.slow
def test_conversation_longer_than_the_local_context_is_answered(real: Caller) -> None:
    digits = "7 " * 4_000
    messages = [{"role": "system", "content": digits}]
    messages += [{"role": "user", "content": digits}, {"role": "assistant", "content": "ok"}]
    messages += [{"role": "user", "content": "日本語" * 2_000}]

    response = real.chat(OPENAI, {"messages": messages, "max_tokens": 2})

    assert response.status_code == 200


def test_reasoning_when_an_effort_is_asked_for(real: Caller) -> None:
    body = ask("2+2?", reasoning_effort="low", max_tokens=24)

    answer = real.chat(OPENAI, body).json()

    assert answer["choices"][0]["message"]["reasoning_content"]
    assert answer["usage"]["completion_tokens"] <= 24


def test_more_calls_than_slots_all_get_text(real: Caller) -> None:
    """More than once: connections to llama.cpp must not be used again after it closed them."""
    body = ask("Write one sentence.", max_tokens=4)

    with ThreadPoolExecutor(8) as threads:
        for _ in range(3):
            statuses = threads.map(lambda _: real.run(NATIVE, body).status_code, range(8))
            assert list(statuses) == [200] * 8


def test_leaving_stops_the_local_model(real: Caller) -> None:
    """Five calls that would take its four slots for a long time, then one that must not wait."""
    body = {"model": OPENAI, **ask("Write a very long story.", max_tokens=1000, stream=True)}
    since = real.last_seq()
    connections = [real.raw_post("v1/chat/completions", body) for _ in range(5)]
    wait_until(lambda: sum(call["tokens_sent"] > 2 for call in real.calls(since=since)) == 4, 10)

    for connection in connections:
        connection.close()
    started = time.monotonic()
    real.run(NATIVE, ask("Hi", max_tokens=2))

    assert time.monotonic() - started < 3
    assert {call["ended"] for call in real.calls(since=since)[:5]} == {"client_gone"}
