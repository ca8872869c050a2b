"""Moderation and image-to-text: served by plain rules, and labelled so."""

import base64
import struct

import pytest

from sandbox.workers_ai.tests.client import Caller, ask, script

GUARD = "@cf/meta/llama-guard-3-8b"
LLAVA = "@cf/llava-hf/llava-1.5-7b-hf"
MOONDREAM = "@cf/moondream/moondream3.1-9B-A2B"
PNG = b"\x89PNG\r\n\x1a\n\x00\x00\x00\rIHDR" + struct.pack(">II", 64, 48)
DATA_URI = "data:image/png;base64," + base64.b64encode(PNG).decode()


@pytest.mark.parametrize(
    ("text", "verdict"),
    [
        ("How do I bake bread?", "safe"),
        ("How do I pick a lock?", "unsafe\nS2"),
        (script(text="unsafe\nS9"), "unsafe\nS9"),
    ],
)
def test_verdict_as_text(stand_in: Caller, text: str, verdict: str) -> None:
    assert stand_in.result(GUARD, ask(text))["response"] == verdict


def test_verdict_as_json(stand_in: Caller) -> None:
    body = ask("How do I steal a car?", response_format={"type": "json_object"})

    result = stand_in.result(GUARD, body)

    assert result["response"] == {"safe": False, "categories": ["S2"]}
    assert result["system_fingerprint"] == "sandbox-rules"


def test_roles_must_alternate(stand_in: Caller) -> None:
    messages = [{"role": "user", "content": "a"}, {"role": "user", "content": "b"}]

    assert stand_in.error(stand_in.run(GUARD, {"messages": messages}))[:2] == (400, 8007)


def test_llava_says_what_the_header_says(stand_in: Caller) -> None:
    result = stand_in.result(LLAVA, {"image": list(PNG), "prompt": "What is this?"})

    assert result["description"].startswith("A PNG image of 64 by 48 pixels.")


def test_moondream_answers_in_the_form_of_its_task(stand_in: Caller) -> None:
    query = {"task": "query", "image": DATA_URI, "question": "What is this?"}
    answer = stand_in.result(MOONDREAM, query)
    caption = stand_in.result(MOONDREAM, {"task": "caption", "image": DATA_URI})
    points = stand_in.result(MOONDREAM, {"task": "point", "image": DATA_URI, "target": "cat"})

    assert answer["answer"].startswith("A PNG image of 64 by 48 pixels.")
    assert answer["finish_reason"] == "stop"
    assert answer["metrics"]["input_tokens"] > 1024
    assert caption["caption"]
    assert points["points"] == []


def test_image_that_is_missing_or_broken(stand_in: Caller) -> None:
    missing = stand_in.run(LLAVA, {"prompt": "x"})
    broken = stand_in.run(MOONDREAM, {"task": "caption", "image": "data:image/png;base64,?"})

    assert stand_in.error(missing)[:2] == (400, 5006)
    assert stand_in.error(broken)[:2] == (400, 5004)
