"""What a directive can make the stand-in answer, when, and with which figures."""

import itertools
import time
from decimal import Decimal
from typing import Any

import pytest

from sandbox.workers_ai.script import KEYS
from sandbox.workers_ai.tests.client import NATIVE, OPENAI, Caller, ask, exact, frames, script


def content(stand_in: Caller, text: str, **fields: Any) -> Any:
    answer = stand_in.chat(OPENAI, ask(text, **fields)).json()
    return answer["choices"][0]["message"]["content"]


@pytest.mark.parametrize(
    ("text", "answer"),
    [
        ("No directive", "No directive"),
        (script("the rest", text="given"), "given"),
        (script("the rest", echo=True), "the rest"),
        (script("the rest", tokens=3), "tok1 tok2 tok3"),
        (script("the rest", json={"a": [[1]]}), '{"a":[[1]]}'),
        (script("the rest", delay_ms=1), "the rest"),
        ("before " + script("after", echo=True), "before  after"),
        ('[[sandbox {"text": "]] inside"} ]] x', "]] inside"),
        (script(text=""), ""),
    ],
)
def test_text_to_answer(stand_in: Caller, text: str, answer: str) -> None:
    assert content(stand_in, text) == answer


def test_only_the_newest_user_message_counts(stand_in: Caller) -> None:
    messages = [
        {"role": "system", "content": script(text="system")},
        {"role": "user", "content": script(text="old")},
        {"role": "assistant", "content": script(text="assistant")},
        {"role": "user", "content": script(text="new")},
        {"role": "assistant", "content": "prefill"},
    ]

    answer = stand_in.chat(OPENAI, {"messages": messages}).json()

    assert answer["choices"][0]["message"]["content"] == "new"


def test_tokens_are_exactly_so_many_whatever_the_vocabulary(stand_in: Caller) -> None:
    for model in (NATIVE, OPENAI):
        events = frames(stand_in.chat(model, ask(script(tokens=40), stream=True)))
        chunks = [
            e for e in events[:-1] if e.get("choices") and e["choices"][0]["delta"].get("content")
        ]
        assert len(chunks) == events[-2]["usage"]["completion_tokens"] == 40


def test_after_tools_replaces_the_directive_once_a_result_is_there(stand_in: Caller) -> None:
    text = script(
        tool_calls=[{"name": "clock", "arguments": "not json"}],
        after_tools={"text": "It is noon.", "usage": {"prompt_tokens": 5}},
    )
    first = stand_in.chat(OPENAI, ask(text)).json()["choices"][0]["message"]
    messages = [{"role": "user", "content": text}, first]
    messages.append({"role": "tool", "tool_call_id": "x", "content": "12:00"})

    second = stand_in.chat(OPENAI, {"messages": messages}).json()

    assert first["tool_calls"][0]["function"]["arguments"] == "not json"
    assert second["choices"][0]["message"]["content"] == "It is noon."
    assert second["usage"]["prompt_tokens"] == 5


def test_native_arguments_that_are_no_json_stay_text(stand_in: Caller) -> None:
    result = stand_in.result(NATIVE, ask(script(tool_calls=[{"name": "a", "arguments": "{x"}])))

    assert result["tool_calls"] == [{"name": "a", "arguments": "{x"}]


def test_finish_reason_can_be_given(stand_in: Caller) -> None:
    body = ask(script(text="x", finish_reason="content_filter"))

    answer = stand_in.chat(OPENAI, body).json()
    events = frames(stand_in.chat(OPENAI, {**body, "stream": True}))

    assert answer["choices"][0]["finish_reason"] == "content_filter"
    assert events[-4]["choices"][0]["finish_reason"] == "content_filter"


def test_delay_comes_before_the_first_byte(stand_in: Caller) -> None:
    started = time.monotonic()

    response = stand_in.chat(OPENAI, ask(script(text="x", delay_ms=200), stream=True), stream=True)

    assert time.monotonic() - started >= 0.2
    response.close()


def test_chunks_come_at_the_pace_given(stand_in: Caller) -> None:
    body = ask(script(tokens=6, chunk_ms=50), stream=True)
    response = stand_in.chat(OPENAI, body, stream=True)

    times = [time.monotonic() for line in response.iter_lines(1) if b'"content":"' in line]

    gaps = [after - before for before, after in itertools.pairwise(times)]
    # The role's chunk and the first token come at once, then 5 more at 50 ms.
    assert len(times) == 7
    assert 0.24 <= times[-1] - times[0] < 0.6
    # One that is read late is followed at once by the next.
    assert sum(gap > 0.03 for gap in gaps) >= 3


@pytest.mark.parametrize(
    ("keys", "expected"),
    [
        ({"usage": {"completion_tokens": 99}}, {"completion_tokens": 99}),
        ({"usage": {"prompt_tokens": 5, "completion_tokens": 2}}, {"total_tokens": 7}),
        ({"usage": {"total_tokens": 1}}, {"total_tokens": 1, "completion_tokens": 1}),
        ({"usage": {"neurons": 0.5}}, {"neurons": Decimal("0.5")}),
        ({"usage": {"completion_tokens": None}}, {"completion_tokens": 0}),
        ({"usage": {"prompt_tokens": 5, "extra": "x"}}, {"extra": "x", "prompt_tokens": 5}),
        ({"cached_tokens": 4}, {"prompt_tokens_details": {"cached_tokens": 4}}),
        (
            {"cached_tokens": 4_000, "usage": {"prompt_tokens": 25}},
            {"prompt_tokens_details": {"cached_tokens": 25}},
        ),
    ],
)
def test_reported_usage_can_be_changed(
    stand_in: Caller, keys: dict[str, Any], expected: dict[str, Any]
) -> None:
    body = ask(script(text="x", **keys))

    plain = exact(stand_in.chat(OPENAI, body))["usage"]
    events = frames(stand_in.chat(OPENAI, {**body, "stream": True}))

    for usage in (plain, events[-2]["usage"]):
        assert {key: usage[key] for key in expected} == expected
    # The increments stay what they were: the two need not agree.
    assert sum(event["usage"]["completion_tokens"] for event in events[:-2]) == 1


def test_usage_can_be_left_away(stand_in: Caller) -> None:
    for model in (NATIVE, OPENAI):
        for call in (stand_in.run, stand_in.chat):
            body = ask(script(text="x", no_usage=True))
            plain = call(model, body)
            assert "usage" not in plain.text
            assert "cf-ai-neurons" not in plain.headers
            streamed = call(model, {**body, "stream": True})
            assert "usage" not in streamed.text
            assert streamed.text.endswith("data: [DONE]\n\n")


def test_the_terminal_frame_alone_can_be_left_away(stand_in: Caller) -> None:
    body = ask(script(text="x", no_usage="terminal"), stream=True)

    *_, zeros, done = frames(stand_in.chat(OPENAI, body))

    assert zeros["usage"]["total_tokens"] == 0
    assert done == "[DONE]"


def test_neurons_can_be_left_away(stand_in: Caller) -> None:
    response = stand_in.chat(OPENAI, ask(script(text="x", usage={"neurons": None})))

    assert "neurons" not in exact(response)["usage"]
    assert "cf-ai-neurons" not in response.headers


def test_stream_can_be_answered_as_json(stand_in: Caller) -> None:
    body = ask(script(text="x", plain_json_to_stream=True), stream=True)

    response = stand_in.run("@cf/openai/gpt-oss-20b", body)

    assert response.headers["Content-Type"] == "application/json"
    assert response.json()["result"]["object"] == "chat.completion"


def test_numbers_can_come_as_json_numbers(stand_in: Caller) -> None:
    body = ask(script(text="42 is 4.5", numeric_chunks=True), stream=True)

    responses = [event["response"] for event in frames(stand_in.run(NATIVE, body))[:-2]]

    assert responses == [42, " is", " ", 4, ".", 5]


def test_null_chunks_come_between(stand_in: Caller) -> None:
    body = ask(script(tokens=2, null_chunks=True), stream=True)

    native = [event["response"] for event in frames(stand_in.run(NATIVE, body))[:-2]]
    chunks = frames(stand_in.chat(OPENAI, body))[1:-3]

    assert native == ["tok1", None, " tok2", None]
    assert [chunk["choices"][0]["delta"]["content"] for chunk in chunks] == native
    assert sum(chunk["usage"]["completion_tokens"] for chunk in chunks) == 2


@pytest.mark.parametrize(
    ("directive", "complaint"),
    [
        ('{"txet": "x"}', "unknown key txet"),
        ('{"text": 5}', "text must be a string"),
        ('{"tokens": -1}', "tokens must be a whole number"),
        ('{"tokens": true}', "tokens must be a whole number"),
        ('{"chunk_ms": "fast"}', "chunk_ms must be a number of milliseconds"),
        ('{"hang": 1}', "hang must be true or false"),
        ('{"text": "x", "tokens": 3}', "text and tokens exclude each other"),
        ('{"error_times": 1, "error": true}', "error_times needs id"),
        ('{"error": {"staus": 500}}', "error has unknown key staus"),
        ('{"error": {"status": "bad"}}', "error needs a status"),
        ('{"gateway_error": {"status": 42}}', "gateway_error needs a status"),
        ('{"tool_calls": [{"name": 5}]}', "a tool call has name and arguments"),
        ('{"html": 200}', "html must be true or a status"),
        ('{"no_usage": "all"}', "no_usage must be"),
        ('{"tool_calls": [{"nam": "x"}]}', "a tool call has name and arguments"),
        ('{"after_tools": {"txet": "x"}}', "unknown key txet"),
        ('{"text": "x"', "not JSON"),
        ("[1]", "not a JSON object"),
        ('{"text": "x"} and', "not followed by ]]"),
        ('{"account": 5}', "account must be a string or a list"),
        ('{"otherwise": {}}', "otherwise needs account or model"),
        ('{"busy": "long"}', "busy must be a number of seconds"),
        ('{"piece_bytes": 0}', "piece_bytes must be 1 or more"),
        ('{"stall_after": 1}', "stall_after needs a streamed answer"),
    ],
)
def test_directive_that_cannot_be_meant_is_refused(
    stand_in: Caller, directive: str, complaint: str
) -> None:
    response = stand_in.chat(OPENAI, ask(f"[[sandbox {directive}]] x"))

    status, code, message = stand_in.error(response)
    assert (status, code) == (400, 5006)
    assert message.startswith("sandbox directive: ")
    assert complaint in message


def test_every_key_is_tried_in_these_tests() -> None:
    """A new key needs a test; this list is checked against the code's."""
    here = """text echo tokens json reasoning tool_calls finish_reason after_tools delay_ms chunk_ms
    usage cached_tokens no_usage plain_json_to_stream numeric_chunks null_chunks"""
    in_test_faults = """id error_times error gateway_error success_false html hang reset stall_ms
    truncated_json cut_after end_after stall_after error_frame_after"""
    in_test_failover = """account model otherwise busy"""
    in_test_binary = """piece_bytes content_type duration_s no_envelope"""
    in_test_analytics = "billed"
    tried = f"{here} {in_test_faults} {in_test_failover} {in_test_binary} {in_test_analytics}"
    assert set(tried.split()) == KEYS
