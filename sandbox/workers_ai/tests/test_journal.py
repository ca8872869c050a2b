"""What tests can see of the calls the stand-in got."""

import time

import requests

from sandbox.workers_ai.tests.client import (
    ACCOUNT,
    NATIVE,
    OPENAI,
    Caller,
    ask,
    script,
    wait_until,
)


def test_call_is_recorded_with_what_was_sent(stand_in: Caller) -> None:
    since = stand_in.last_seq()
    before = time.time()

    response = stand_in.chat(OPENAI, ask("Hi"), headers={"x-session-affinity": "abc"})

    (call,) = stand_in.calls(since=since)
    assert call["seq"] == since + 1
    assert (call["account"], call["model"], call["method"]) == (ACCOUNT, OPENAI, "POST")
    assert call["path"].endswith("/ai/v1/chat/completions")
    assert call["body"] == {"model": OPENAI, **ask("Hi")}
    assert call["headers"]["x-session-affinity"] == "abc"
    assert call["request_id"] == response.headers["cf-ai-req-id"]
    assert (call["status"], call["ended"]) == (200, "completed")
    assert before <= call["started_at"] <= call["ended_at"] <= time.time()
    assert (call["chunks_sent"], call["tokens_sent"]) == (0, 1)


def test_token_is_not_recorded(stand_in: Caller) -> None:
    stand_in.run(NATIVE, ask("Hi"), headers={"cf-aig-authorization": "Bearer other-secret"})

    text = requests.get(f"{stand_in.url}/__sandbox/calls", timeout=5).text

    assert stand_in.token not in text
    assert "other-secret" not in text


def test_refused_calls_are_recorded(stand_in: Caller) -> None:
    since = stand_in.last_seq()

    stand_in.run("@cf/nobody/nothing", ask("marked-7f"))
    Caller(stand_in.url, token="stolen").run(NATIVE, ask("Hi"))

    unknown, stolen = stand_in.calls(since=since)
    assert (unknown["status"], unknown["ended"]) == (400, "refused")
    assert unknown["body"] == ask("marked-7f")
    assert (stolen["status"], stolen["ended"]) == (401, "refused")


def test_calls_can_be_found_by_text(stand_in: Caller) -> None:
    stand_in.run(NATIVE, ask("needle-42"))
    stand_in.run(NATIVE, ask("other"))

    (call,) = stand_in.calls(match="needle-42")

    assert call["body"] == ask("needle-42")


def test_long_body_is_kept_in_part(stand_in: Caller) -> None:
    stand_in.run(NATIVE, ask("x" * 50_000))

    call = stand_in.calls()[-1]

    assert call["body_bytes"] > 50_000
    assert isinstance(call["body"], str)
    assert len(call["body"]) == 16_384


def test_client_that_leaves_a_slow_stream_is_noticed_between_chunks(stand_in: Caller) -> None:
    body = ask(script(tokens=3, chunk_ms=60_000), stream=True)
    response = stand_in.chat(OPENAI, body, stream=True)
    next(response.iter_content(1))
    wait_until(lambda: stand_in.calls()[-1]["chunks_sent"] == 1)

    left_at = time.time()
    response.close()

    wait_until(lambda: stand_in.calls()[-1]["ended"] == "client_gone")
    assert stand_in.calls()[-1]["ended_at"] - left_at < 0.5


def test_client_that_leaves_before_the_answer_is_noticed(stand_in: Caller) -> None:
    connection = stand_in.raw_post(f"run/{NATIVE}", ask(script(text="x", delay_ms=60_000)))
    wait_until(lambda: stand_in.calls()[-1]["body_bytes"] > 0)

    connection.close()

    wait_until(lambda: stand_in.calls()[-1]["ended"] == "client_gone")


def test_calls_can_be_forgotten_and_numbers_go_on(stand_in: Caller) -> None:
    stand_in.run(NATIVE, ask("Hi"))
    last = stand_in.last_seq()

    requests.delete(f"{stand_in.url}/__sandbox/calls", timeout=5)

    assert stand_in.calls() == []
    stand_in.run(NATIVE, ask("Hi"))
    assert stand_in.last_seq() == last + 1
