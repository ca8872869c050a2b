"""Models that answer `{"response": …}`."""

from decimal import Decimal
from typing import Any

import pytest

from sandbox.workers_ai.tests.client import (
    NATIVE,
    Caller,
    ask,
    exact,
    frames,
    script,
    without_padding,
)

CALLS = [{"name": "weather", "arguments": {"city": "Lima"}}]
LABEL = {"system_fingerprint": "sandbox-scripted"}
SCHEMA = {"type": "object", "properties": {"age": {"type": "integer"}}, "required": ["age"]}


def test_answer_as_json(stand_in: Caller) -> None:
    response = stand_in.run(NATIVE, ask(script(text="Lima.")))

    assert exact(response) == {
        "result": {
            "response": "Lima.",
            "tool_calls": [],
            "usage": {
                "prompt_tokens": 19,
                "completion_tokens": 3,
                "total_tokens": 22,
                "prompt_tokens_details": {"cached_tokens": 0},
                # 19 x 0.026668 + 3 x 0.204805
                "neurons": Decimal("1.121107"),
            },
            **LABEL,
        },
        "success": True,
        "errors": [],
        "messages": [],
    }
    assert response.headers["cf-ai-neurons"] == "1.121107"


def test_answer_as_a_stream(stand_in: Caller) -> None:
    response = stand_in.run(NATIVE, ask(script(text="Lima."), stream=True))

    *chunks, terminal, done = frames(response)
    assert [without_padding(chunk) for chunk in chunks] == [
        {"response": "L", **LABEL},
        {"response": "ima", **LABEL},
        {"response": ".", **LABEL},
    ]
    usage = {
        "prompt_tokens": 19,
        "completion_tokens": 3,
        "total_tokens": 22,
        "prompt_tokens_details": {"cached_tokens": 0},
        "neurons": Decimal("1.121107"),
    }
    assert terminal == {"response": "", "usage": usage, **LABEL}
    assert done == "[DONE]"


def test_tool_calls_are_objects_without_ids(stand_in: Caller) -> None:
    result = stand_in.result(NATIVE, ask(script(tool_calls=CALLS)))

    assert result["response"] is None
    assert result["tool_calls"] == CALLS


def test_tool_calls_in_a_stream_come_in_one_frame(stand_in: Caller) -> None:
    response = stand_in.run(NATIVE, ask(script(text="Wait", tool_calls=CALLS), stream=True))

    text, calls, terminal, _ = frames(response)
    assert without_padding(text) == {"response": "Wait", **LABEL}
    assert without_padding(calls) == {"response": "", "tool_calls": CALLS, **LABEL}
    assert terminal["usage"]["completion_tokens"] == 8


def test_prompt_form(stand_in: Caller) -> None:
    templated = stand_in.result(NATIVE, {"prompt": script(echo=True)})
    raw = stand_in.result(NATIVE, {"prompt": script(echo=True), "raw": True})

    assert templated["response"] == raw["response"] == "Hello"
    assert templated["usage"]["prompt_tokens"] - raw["usage"]["prompt_tokens"] == 7


@pytest.mark.parametrize("kind", ["json_object", "json_schema"])
def test_json_mode_gives_an_object(stand_in: Caller, kind: str) -> None:
    body = ask(script(json={"age": 31}), response_format={"type": kind, "json_schema": SCHEMA})

    result = stand_in.result(NATIVE, body)

    assert result["response"] == {"age": 31}
    assert "tool_calls" not in result


def test_json_mode_without_a_script_fits_the_schema(stand_in: Caller) -> None:
    body = ask("Ann is 31", response_format={"type": "json_schema", "json_schema": SCHEMA})

    assert stand_in.result(NATIVE, body)["response"] == {"age": 31}


def test_output_cap_is_256_by_default_and_leaves_no_finish_reason(stand_in: Caller) -> None:
    result = stand_in.result(NATIVE, ask(script(tokens=300)))

    assert result["usage"]["completion_tokens"] == 256
    assert result["response"].endswith(" tok256")
    assert "finish_reason" not in result


@pytest.mark.parametrize("ignored", [{"stop": ["tok2"]}, {"n": 3}, {"max_completion_tokens": 1}])
def test_native_models_ignore_openai_knobs(stand_in: Caller, ignored: dict[str, Any]) -> None:
    result = stand_in.result(NATIVE, ask(script(tokens=3), **ignored))

    assert result["response"] == "tok1 tok2 tok3"


def test_reasoning_is_part_of_the_text(stand_in: Caller) -> None:
    body = ask(script(text="4", reasoning="Sum."))

    result = stand_in.result("@cf/deepseek-ai/deepseek-r1-distill-qwen-32b", body)

    assert result["response"] == "<think>\nSum.\n</think>\n\n4"


def test_openai_form_of_a_native_model(stand_in: Caller) -> None:
    body = exact(stand_in.chat(NATIVE, ask(script(text="Lima."))))

    assert body.pop("id").startswith("id-")
    assert isinstance(body.pop("created"), int)
    assert body == {
        "object": "chat.completion",
        "model": NATIVE,
        "choices": [
            {
                "index": 0,
                "message": {"role": "assistant", "content": "Lima.", "tool_calls": []},
                "logprobs": None,
                "finish_reason": "stop",
            }
        ],
        "usage": {
            "prompt_tokens": 19,
            "completion_tokens": 3,
            "total_tokens": 22,
            "prompt_tokens_details": {"cached_tokens": 0},
            "neurons": Decimal("1.121107"),
        },
        **LABEL,
    }


@pytest.mark.parametrize(
    ("model", "has_index"),
    [(NATIVE, False), ("@cf/meta/llama-4-scout-17b-16e-instruct", True)],
)
def test_streams_of_older_llamas_in_openai_form_lack_the_index(
    stand_in: Caller, model: str, has_index: bool
) -> None:
    response = stand_in.chat(model, ask(script(text="Hi"), stream=True))

    choices = [frame["choices"][0] for frame in frames(response)[:-1] if frame.get("choices")]
    assert choices
    assert all(("index" in choice) == has_index for choice in choices)
