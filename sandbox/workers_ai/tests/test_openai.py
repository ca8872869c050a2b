"""Models that answer with chat.completion objects and chunks."""

import json
from decimal import Decimal
from typing import Any

import pytest

from sandbox.workers_ai.tests.client import (
    NATIVE,
    OPENAI,
    VISION,
    Caller,
    ask,
    exact,
    frames,
    script,
    without_padding,
)

LABEL: dict[str, Any] = {"system_fingerprint": "sandbox-scripted"}
CALLS = [
    {"name": "weather", "arguments": {"city": "Lima"}},
    {"name": "clock", "arguments": {}},
]


def usage(prompt: int, completion: int) -> dict[str, Any]:
    return {
        "prompt_tokens": prompt,
        "completion_tokens": completion,
        "total_tokens": prompt + completion,
    }


def test_answer_on_run_is_wrapped(stand_in: Caller) -> None:
    response = stand_in.run(OPENAI, ask(script(text="4", reasoning="A sum.")))

    body = exact(response)
    assert (body["success"], body["errors"], body["messages"]) == (True, [], [])
    result = body["result"]
    assert result.pop("id").startswith("chatcmpl-")
    assert isinstance(result.pop("created"), int)
    assert result == {
        **LABEL,
        "object": "chat.completion",
        "model": OPENAI,
        "choices": [
            {
                "index": 0,
                "message": {
                    "role": "assistant",
                    "content": "4",
                    "reasoning_content": "A sum.",
                    "tool_calls": [],
                },
                "logprobs": None,
                "finish_reason": "stop",
            }
        ],
        "usage": {
            **usage(26, 4),
            "prompt_tokens_details": {"cached_tokens": 0},
            # 26 x 0.0055 + 4 x 0.0364
            "neurons": Decimal("0.2886"),
        },
    }
    assert response.headers["cf-ai-neurons"] == "0.2886"


def test_answer_on_v1_is_bare(stand_in: Caller) -> None:
    body = stand_in.chat(OPENAI, ask(script(text="4"))).json()

    assert body["object"] == "chat.completion"
    assert body["choices"][0]["message"]["content"] == "4"


@pytest.mark.parametrize("surface", ["run", "v1"])
def test_answer_as_a_stream(stand_in: Caller, surface: str) -> None:
    body = ask(script(text="Two.", reasoning="Sum"), stream=True)
    call = stand_in.run if surface == "run" else stand_in.chat

    opening, thought, first, last, zeros, terminal, done = frames(call(OPENAI, body))
    choice: dict[str, Any]

    head: dict[str, Any] = {key: opening[key] for key in ("id", "created")}
    head |= {"object": "chat.completion.chunk", "model": OPENAI}
    choice = {
        "index": 0,
        "delta": {"role": "assistant", "content": ""},
        "logprobs": None,
        "finish_reason": None,
        "matched_stop": None,
    }
    assert without_padding(opening) == {**head, "choices": [choice], "usage": usage(24, 0), **LABEL}
    choice = {"index": 0, "delta": {"reasoning_content": "Sum"}, "finish_reason": None}
    assert without_padding(thought) == {**head, "choices": [choice], "usage": usage(0, 1), **LABEL}
    choice = {"index": 0, "delta": {"content": "Two"}, "finish_reason": None}
    assert without_padding(first) == {**head, "choices": [choice], "usage": usage(0, 1), **LABEL}
    choice = {"index": 0, "delta": {"content": "."}, "finish_reason": "stop"}
    assert without_padding(last) == {**head, "choices": [choice], "usage": usage(0, 1), **LABEL}
    assert zeros == {**head, "choices": [], "usage": usage(0, 0), **LABEL}
    assert terminal == {
        "response": "",
        "usage": {
            **usage(24, 3),
            "prompt_tokens_details": {"cached_tokens": 0},
            "neurons": Decimal("0.2412"),
        },
        **LABEL,
    }
    assert done == "[DONE]"


def test_tool_calls(stand_in: Caller) -> None:
    body = stand_in.chat(OPENAI, ask(script(tool_calls=CALLS))).json()

    (choice,) = body["choices"]
    assert choice["finish_reason"] == "tool_calls"
    assert choice["message"]["content"] is None
    first, second = choice["message"]["tool_calls"]
    assert first["id"] != second["id"]
    assert first["type"] == "function"
    assert json.loads(first["function"]["arguments"]) == {"city": "Lima"}
    assert second["function"] == {"name": "clock", "arguments": "{}"}


def test_tool_calls_in_a_stream_come_in_fragments(stand_in: Caller) -> None:
    events = frames(stand_in.chat(OPENAI, ask(script(tool_calls=CALLS), stream=True)))

    deltas = [
        call
        for event in events[:-1]
        for choice in event.get("choices", [])
        for call in choice["delta"].get("tool_calls", [])
    ]
    first, *fragments, second, end, closing = deltas
    assert first["id"]
    assert first["type"] == "function"
    assert first["function"] == {"name": "weather", "arguments": ""}
    assert all(set(fragment) == {"index", "function"} for fragment in fragments)
    text = "".join(fragment["function"]["arguments"] for fragment in fragments)
    assert len(fragments) > 2
    assert json.loads(text) == {"city": "Lima"}
    assert (second["index"], second["function"]["name"]) == (1, "clock")
    assert end == {"index": 1, "function": {"arguments": "{}"}}
    assert (closing["id"], closing["function"]["name"]) == (None, None)
    finishes = [
        choice["finish_reason"] for event in events[:-1] for choice in event.get("choices", [])
    ]
    assert finishes[-1] == "tool_calls"
    assert set(finishes[:-1]) == {None}


@pytest.mark.parametrize(
    ("fields", "text", "finish"),
    [
        ({"max_tokens": 3}, "tok1 tok2 tok3", "length"),
        ({"max_completion_tokens": 2, "max_tokens": 5}, "tok1 tok2", "length"),
        ({"max_tokens": 9}, "tok1 tok2 tok3 tok4 tok5", "stop"),
        ({"stop": " tok4"}, "tok1 tok2 tok3", "stop"),
        ({"stop": ["ok3", "tok5"]}, "tok1 tok2 t", "stop"),
    ],
)
def test_caps_and_stops(stand_in: Caller, fields: dict[str, Any], text: str, finish: str) -> None:
    body = ask(script(tokens=5), **fields)

    (choice,) = stand_in.chat(OPENAI, body).json()["choices"]
    streamed = frames(stand_in.chat(OPENAI, {**body, "stream": True}))

    assert (choice["message"]["content"], choice["finish_reason"]) == (text, finish)
    choices = [choice for event in streamed[:-1] for choice in event.get("choices", [])]
    assert "".join(choice["delta"].get("content", "") for choice in choices) == text
    assert choices[-1]["finish_reason"] == finish


def test_reasoning_may_eat_the_whole_cap(stand_in: Caller) -> None:
    body = ask(script(text="4", reasoning="one two three four"), max_tokens=3)

    answer = stand_in.chat(OPENAI, body).json()

    (choice,) = answer["choices"]
    assert choice["message"]["content"] is None
    assert choice["message"]["reasoning_content"] == "one two three"
    assert choice["finish_reason"] == "length"
    assert answer["usage"]["completion_tokens"] == 3


def test_several_choices(stand_in: Caller) -> None:
    body = ask(script(tokens=2), n=3)

    answer = stand_in.chat(OPENAI, body).json()
    events = frames(stand_in.chat(OPENAI, {**body, "stream": True}))

    assert [choice["index"] for choice in answer["choices"]] == [0, 1, 2]
    assert answer["usage"]["completion_tokens"] == 6
    chunks = [event for event in events[:-1] if event.get("choices")]
    assert {chunk["choices"][0]["index"] for chunk in chunks} == {0, 1, 2}
    prompts = [chunk["usage"]["prompt_tokens"] for chunk in chunks]
    assert sum(prompts) == prompts[0] == answer["usage"]["prompt_tokens"]
    assert events[-2]["usage"]["completion_tokens"] == 6


@pytest.mark.parametrize(
    "response_format",
    [
        {"type": "json_object"},
        {"type": "json_schema", "json_schema": {"name": "x", "schema": {"type": "object"}}},
        {"type": "json_schema", "json_schema": {"type": "object"}},
    ],
)
def test_json_mode_gives_text(stand_in: Caller, response_format: dict[str, Any]) -> None:
    body = ask(script(json={"age": 31}), response_format=response_format)

    answer = stand_in.chat(OPENAI, body).json()

    assert answer["choices"][0]["message"]["content"] == '{"age":31}'


def test_returned_model_of_gemma_4_differs_from_the_one_asked_for(stand_in: Caller) -> None:
    answer = stand_in.chat(VISION, ask(script(text="x", reasoning="y"))).json()

    assert answer["model"] == f"{VISION}-external"
    assert answer["choices"][0]["message"]["reasoning"] == "y"
    assert "reasoning_content" not in answer["choices"][0]["message"]


def test_prompt_is_answered_as_a_text_completion(stand_in: Caller) -> None:
    model = "@cf/qwen/qwen3-30b-a3b-fp8"

    result = stand_in.result(model, {"prompt": script(text="four")})
    opening, chunk, *_ = frames(
        stand_in.run(model, {"prompt": script(text="four"), "stream": True})
    )

    assert result["object"] == "text_completion"
    assert result["choices"] == [
        {"index": 0, "text": "four", "logprobs": None, "finish_reason": "stop"}
    ]
    assert opening["object"] == chunk["object"] == "text_completion"
    assert chunk["choices"][0]["text"] == "four"


def test_forced_tool_without_a_script_is_called_with_plain_arguments(stand_in: Caller) -> None:
    schema = {"type": "object", "properties": {"days": {"type": "integer", "minimum": 1}}}
    tool = {"type": "function", "function": {"name": "forecast", "parameters": schema}}
    schema["required"] = ["days"]

    answer = stand_in.chat(OPENAI, ask("x", tools=[tool], tool_choice="required")).json()

    (call,) = answer["choices"][0]["message"]["tool_calls"]
    assert call["function"] == {"name": "forecast", "arguments": '{"days": 1}'}


def test_every_answer_is_labelled_as_the_sandboxs(stand_in: Caller) -> None:
    for model in (NATIVE, OPENAI):
        for surface in (stand_in.run, stand_in.chat):
            events = frames(surface(model, ask("Hi", stream=True)))
            assert all(event["system_fingerprint"] == "sandbox-scripted" for event in events[:-1])


def test_log_probabilities_of_a_script_are_those_of_certainty(stand_in: Caller) -> None:
    body = ask(script(text="Lima is."), logprobs=True, top_logprobs=3)
    (choice,) = stand_in.chat(OPENAI, body).json()["choices"]
    entries = choice["logprobs"]["content"]
    streamed = frames(stand_in.chat(OPENAI, {**body, "stream": True}))
    chunks = [choice for event in streamed[:-1] for choice in event.get("choices", [])]
    told = [choice["logprobs"] for choice in chunks if choice.get("logprobs")]
    assert [entry for part in told for entry in part["content"]] == entries

    assert "".join(entry["token"] for entry in entries) == "Lima is."
    for entry in entries:
        assert (entry["logprob"], bytes(entry["bytes"]).decode()) == (0.0, entry["token"])
        likely, *unlikely = entry["top_logprobs"]
        assert likely["token"] == entry["token"]
        assert [other["logprob"] for other in unlikely] == [-9999.0] * 2


def test_the_stop_sequence_that_was_met_is_named(stand_in: Caller) -> None:
    body = ask(script(text="one STOP two"), stop=["END", "STOP"])
    (choice,) = stand_in.chat(OPENAI, body).json()["choices"]
    streamed = frames(stand_in.chat(OPENAI, {**body, "stream": True}))
    last = [choice for event in streamed[:-1] for choice in event.get("choices", [])][-1]
    for end in (choice, last):
        assert (end["finish_reason"], end["matched_stop"]) == ("stop", "STOP")


def test_log_probabilities_of_a_text_completion_are_in_its_own_form(stand_in: Caller) -> None:
    body = {"prompt": script(text="Lima is."), "logprobs": 2}
    (choice,) = stand_in.run(OPENAI, body).json()["result"]["choices"]
    told = choice["logprobs"]
    assert "".join(told["tokens"]) == choice["text"] == "Lima is."
    for token, offset in zip(told["tokens"], told["text_offset"], strict=True):
        assert choice["text"][offset:].startswith(token)
    assert [len(others) for others in told["top_logprobs"]] == [2] * len(told["tokens"])
