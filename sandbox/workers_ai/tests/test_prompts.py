"""Completion by `prompt`, on native and on OpenAI-shaped models."""

import pytest

from sandbox.workers_ai.tests.client import NATIVE, OPENAI, Caller, frames, script, without_padding

QWEN = "@cf/qwen/qwen3-30b-a3b-fp8"


def test_native_model_completes_a_prompt(stand_in: Caller) -> None:
    result = stand_in.result(NATIVE, {"prompt": script(text="there was")})

    assert result["response"] == "there was"


def test_raw_prompt_has_no_template_to_count(stand_in: Caller) -> None:
    plain = stand_in.result(NATIVE, {"prompt": "Once upon a time"})
    raw = stand_in.result(NATIVE, {"prompt": "Once upon a time", "raw": True})

    assert plain["usage"]["prompt_tokens"] > raw["usage"]["prompt_tokens"] > 0


def test_native_stream_of_a_prompt(stand_in: Caller) -> None:
    body = {"prompt": script(tokens=2), "raw": True, "stream": True}

    found = frames(stand_in.run(NATIVE, body))

    assert [without_padding(frame)["response"] for frame in found[:2]] == ["tok1", " tok2"]
    assert found[-2]["usage"]["completion_tokens"] == 2
    assert found[-1] == "[DONE]"


@pytest.mark.parametrize("model", [OPENAI, QWEN])
def test_openai_shaped_model_answers_a_text_completion(stand_in: Caller, model: str) -> None:
    result = stand_in.result(model, {"prompt": script(text="there was"), "raw": True})

    assert result["object"] == "text_completion"
    assert result["id"].startswith("cmpl-")
    (choice,) = result["choices"]
    assert (choice["text"], choice["finish_reason"]) == ("there was", "stop")
    assert "message" not in choice
    assert result["usage"]["neurons"] > 0


def test_openai_shaped_stream_of_a_prompt(stand_in: Caller) -> None:
    body = {"prompt": script(tokens=2), "stream": True}

    found = frames(stand_in.run(QWEN, body))

    chunks = [frame for frame in found[:-1] if frame.get("choices")]
    assert {chunk["object"] for chunk in chunks} == {"text_completion"}
    assert "".join(chunk["choices"][0]["text"] for chunk in chunks) == "tok1 tok2"
    assert chunks[-1]["choices"][0]["finish_reason"] == "stop"
    assert found[-2]["usage"]["completion_tokens"] == 2


def test_cap_cuts_a_prompts_answer(stand_in: Caller) -> None:
    body = {"prompt": script(tokens=9), "max_tokens": 4}

    native = stand_in.result(NATIVE, body)
    shaped = stand_in.result(QWEN, body)

    assert native["usage"]["completion_tokens"] == 4
    assert shaped["choices"][0]["finish_reason"] == "length"


def test_prompt_of_another_type_is_refused(stand_in: Caller) -> None:
    assert stand_in.error(stand_in.run(NATIVE, {"prompt": ["x"]}))[:2] == (400, 5006)
