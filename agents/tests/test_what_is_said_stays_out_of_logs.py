"""What tenants say, and what they are answered, stands in no log: there is no switch for it."""

from typing import Any
from uuid import uuid4

import pytest

from agents.tests.talker import Talker, script
from sandbox.testing import wait_until

CHAT_MODEL = "qwen-3-30b"


def said_everywhere(talker: Talker, marker: str) -> list[int]:
    """At each kind of endpoint: what is served, refused, and fails upstream. The statuses."""
    text = f"{marker} {script(text=f'Answered {marker}.')}"
    # As upstream quotes what it does not like.
    error = {"status": 400, "code": 5006, "message": f"Error: oneOf at '/' not met: {marker}"}
    fails = f"{marker} {script(error=error)}"
    breaks = f"{marker} {script(error={**error, 'status': 500, 'code': 3043})}"
    agent = talker.agent(instructions=marker)
    conversation = talker.conversation(agent)
    chat = {"model": CHAT_MODEL, "messages": [{"role": "user", "content": text}]}
    asked: list[tuple[str, Any]] = [
        ("chat/completions", chat),
        ("chat/completions", {**chat, "stream": True}),
        ("chat/completions", {**chat, "messages": [{"role": "user", "content": fails}]}),
        ("chat/completions", {**chat, "messages": [{"role": "user", "content": breaks}]}),
        ("chat/completions", {**chat, "temperature": marker}),
        ("chat/completions", {**chat, marker: marker}),
        ("chat/completions", {**chat, "model": marker}),
        ("completions", {"model": CHAT_MODEL, "prompt": text}),
        ("messages", {**chat, "max_tokens": 50}),
        ("responses", {"model": CHAT_MODEL, "input": text}),
        ("responses", {"model": CHAT_MODEL, "input": fails}),
        ("conversations", {"items": [{"role": "user", "content": text}]}),
        (f"{conversation}/turns", {"input": text}),
        (f"{conversation}/turns", {"input": fails}),
        ("embeddings", {"model": "bge-m3", "input": text}),
        ("moderations", {"input": text}),
        ("images/generations", {"model": "flux-1-schnell", "prompt": text}),
        ("audio/speech", {"model": "melotts", "input": text, "voice": marker}),
        ("summaries", {"model": "bart-large-cnn", "input": text}),
        ("translations", {"model": "m2m100-1.2b", "input": text, "target_lang": marker}),
        ("nothing", {"input": text}),
    ]
    return [talker.ask("POST", path, body).status_code for path, body in asked]


@pytest.mark.timeout(240)
def test_nothing_that_was_said_is_in_any_log(gateway: Any, talker: Talker) -> None:
    marker = f"Zebra{uuid4().hex}"
    logs = ("web", "worker", "beat")

    statuses = said_everywhere(talker, marker)
    record = gateway.chat(gateway.cast(), "hi").headers["x-request-id"]

    # Served, refused, and failed; and what was done is in the log.
    assert {200, 400, 404, 502} <= set(statuses)
    assert record
    wait_until(lambda: "The call failed" in gateway.sandbox.log("web"))
    for name in logs:
        lines = [line for line in gateway.sandbox.log(name).splitlines() if marker in line]
        assert [line[:400] for line in lines] == [], name
