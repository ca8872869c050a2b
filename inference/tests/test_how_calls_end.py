"""What a call costs for every way it can end: docs/billing.md, row by row, end to end."""

import http.client
import json
import time
from decimal import Decimal
from typing import Any
from urllib.parse import urlsplit

import openai
import pytest

from billing.admission.services import books
from billing.usage.models import UsageRecord
from inference.tests.settled import nusd, say, settled_record, wait_for

NATIVE = "llama-3.3-70b-fast"
OPENAI_FORM = "qwen-3-30b"
BOTH_FORMS = pytest.mark.parametrize("model", [NATIVE, OPENAI_FORM])


@pytest.fixture
def cast(gateway: Any) -> Any:
    return gateway.cast()


def events(response: Any) -> list[Any]:
    lines = [line[6:] for line in response.text.split("\n\n") if line.startswith("data: ")]
    return [line if line == "[DONE]" else json.loads(line) for line in lines]


def assert_charged_nothing(cast: Any, status: str) -> UsageRecord:
    record = settled_record(cast)
    assert (record.cost_nusd, record.status) == (0, status)
    assert books(cast.tenant).available == 25 * 10**9
    return record


# --- it ends well -------------------------------------------------------------------


@BOTH_FORMS
@pytest.mark.billing_row("completed")
def test_completed_is_charged_what_was_told(gateway: Any, cast: Any, model: str) -> None:
    told = gateway.chat(cast, say(text="one two"), model=model).json()["usage"]

    record = settled_record(cast)
    assert record.cost_nusd == nusd(told["request_cost"])
    assert record.estimated_nusd == nusd(told["estimated_cost"])
    assert (record.status, record.truth, record.is_stream) == ("completed", "provider", False)
    assert record.input_tokens == told["prompt_tokens"]
    assert record.output_tokens == told["completion_tokens"]
    assert record.neurons is not None
    assert record.provider_cost_nusd < record.cost_nusd
    assert record.upstream_request_id
    assert record.attempts == 1


@BOTH_FORMS
@pytest.mark.billing_row("completed")
def test_a_completed_stream_is_charged_what_its_last_chunk_told(
    gateway: Any, cast: Any, model: str
) -> None:
    response = gateway.chat(
        cast,
        say(text="one two three"),
        model=model,
        stream=True,
        stream_options={"include_usage": True},
    )
    *_, last, done = events(response)

    assert done == "[DONE]"
    record = settled_record(cast)
    assert record.cost_nusd == nusd(last["usage"]["request_cost"])
    assert (record.status, record.truth, record.is_stream) == ("completed", "provider", True)
    assert record.first_token_ms is not None


@BOTH_FORMS
@pytest.mark.billing_row(
    "completed, but the provider did not tell what was used, or told what cannot be"
)
def test_usage_that_upstream_never_tells_is_counted(gateway: Any, cast: Any, model: str) -> None:
    gateway.chat(cast, say(tokens=12, no_usage=True), model=model, stream=True)

    record = settled_record(cast)
    assert record.truth == "counted"
    assert record.output_tokens == 12
    assert record.input_tokens > 0
    assert record.cost_nusd > 0


@BOTH_FORMS
@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("told", [0, -3, 10**8, 10**12, "12"])
@pytest.mark.billing_row(
    "completed, but the provider did not tell what was used, or told what cannot be"
)
def test_a_count_that_cannot_be_is_made_anew(
    gateway: Any, cast: Any, model: str, stream: bool, told: Any
) -> None:
    """Neither free, nor all that the cap would allow."""
    text = "one two three four five six"
    directive = say(text=text, usage={"completion_tokens": told, "neurons": None})
    gateway.chat(cast, directive, model=model, stream=stream, max_tokens=500)

    record = settled_record(cast)
    assert record.truth == "counted"
    assert record.output_tokens == 6
    assert record.cost_nusd > 0


def test_cached_input_is_cheaper_where_the_model_has_a_rate_for_it(gateway: Any) -> None:
    costs = {}
    for cached in (0, 10):
        cast = gateway.cast()
        reply = gateway.chat(cast, say(text="ok", cached_tokens=cached), model="kimi-k2.6")
        costs[cached] = nusd(reply.json()["usage"]["request_cost"])
        assert reply.json()["usage"]["prompt_tokens_details"]["cached_tokens"] == cached
        record = settled_record(cast)
        assert record.cached_input_tokens == cached
        assert abs(record.provider_cost_nusd * Decimal("1.2") - record.cost_nusd) <= 2
    # 86,364 against 14,545 neurons a million, times ten tokens, with 20 % on top.
    saved = (86_364 - 14_545) * 10 * Decimal("0.0132")
    assert abs(costs[0] - costs[10] - saved) <= 200


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.billing_row("completed at a stop sequence")
def test_a_stop_at_the_very_beginning_is_not_free(gateway: Any, cast: Any, stream: bool) -> None:
    text = say(text="Yes, certainly.")
    response = gateway.chat(cast, text, model=NATIVE, stop="Yes", stream=stream)

    assert response.status_code == 200
    record = settled_record(cast)
    assert record.status == "completed"
    assert record.cost_nusd > 0


@pytest.mark.billing_row("completed at a stop sequence")
def test_what_a_stop_sequence_cuts_off_is_not_charged(gateway: Any, cast: Any) -> None:
    long = "One line\n" + "more and more " * 300
    usage = gateway.chat(cast, say(text=long), model=NATIVE, stop="\n").json()["usage"]

    assert usage["completion_tokens"] < 10
    assert settled_record(cast).output_tokens == usage["completion_tokens"]


# --- nothing came -------------------------------------------------------------------


@BOTH_FORMS
@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.billing_row("completed, but nothing came back")
def test_an_empty_answer_costs_nothing(gateway: Any, cast: Any, model: str, stream: bool) -> None:
    response = gateway.chat(cast, say(text=""), model=model, stream=stream)

    assert response.status_code == 200
    assert_charged_nothing(cast, "empty")


@BOTH_FORMS
@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize(
    ("fault", "status", "code"),
    [
        (
            {"error": {"status": 500, "code": 3043, "message": "AiError: boom"}},
            502,
            "upstream_error",
        ),
        (
            {"error": {"status": 429, "code": 3040, "message": "AiError: busy"}},
            503,
            "upstream_busy",
        ),
        ({"error": {"status": 429, "code": 4006, "message": "quota"}}, 429, "insufficient_quota"),
        ({"error": {"status": 401, "code": 10000, "message": "auth"}}, 502, "upstream_error"),
        ({"error": {"status": 400, "code": 5006, "message": "AiError: bad"}}, 400, None),
        (
            {"error": {"status": 413, "code": 5021, "message": "AiError: too long"}},
            400,
            "context_length_exceeded",
        ),
        ({"success_false": True}, 502, "upstream_error"),
        ({"html": True}, 504, "upstream_timeout"),
        ({"gateway_error": True}, 429, "rate_limit_exceeded"),
        ({"truncated_json": True}, 502, "upstream_error"),
        ({"reset": True}, 502, "upstream_error"),
    ],
)
@pytest.mark.billing_row("the provider failed, or refused the input, before the first token")
def test_a_failure_before_the_first_token_costs_nothing(
    gateway: Any,
    cast: Any,
    model: str,
    stream: bool,
    fault: dict[str, Any],
    status: int,
    code: str | None,
) -> None:
    if stream and "truncated_json" in fault:
        fault = {**fault, "plain_json_to_stream": True}
    response = gateway.chat(cast, say(**fault), model=model, stream=stream)

    assert response.status_code == status, response.text
    assert response.json()["error"]["code"] == code
    record = assert_charged_nothing(cast, "upstream_failed")
    assert record.error_code == (code or "invalid_request_error")


@BOTH_FORMS
@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.billing_row("the provider failed before the first token, and a repeat succeeded")
def test_a_failure_that_passes_is_tried_again_and_charged_once(
    gateway: Any, cast: Any, model: str, stream: bool
) -> None:
    fault = {"status": 429, "code": 3040, "message": "AiError: busy"}
    text = say(text="at last", error=fault, error_times=2, id=cast.code)

    response = gateway.chat(cast, text, model=model, stream=stream)

    assert response.status_code == 200
    record = settled_record(cast)
    assert (record.status, record.attempts) == ("completed", 3)
    assert len(gateway.upstream_calls(cast.code)) == 3


@pytest.mark.billing_row("the provider failed, or refused the input, before the first token")
def test_a_refusal_of_the_input_is_not_tried_again(gateway: Any, cast: Any) -> None:
    fault = {"status": 400, "code": 5006, "message": f"AiError: bad {cast.code}"}
    gateway.chat(cast, say(error=fault))

    assert len(gateway.upstream_calls(cast.code)) == 1


# --- it breaks ----------------------------------------------------------------------


@BOTH_FORMS
@pytest.mark.parametrize(
    "fault", [{"cut_after": 4}, {"end_after": 4}, {"error_frame_after": 4}], ids=str
)
@pytest.mark.billing_row("the provider failed after the first token of a stream")
def test_a_stream_that_breaks_ends_in_an_error_and_charges_what_was_delivered(
    gateway: Any, cast: Any, model: str, fault: dict[str, int]
) -> None:
    response = gateway.chat(cast, say(tokens=20, **fault), model=model, stream=True)

    assert response.status_code == 200
    *before, last = events(response)
    assert "[DONE]" not in before
    assert last["error"]["code"] == "upstream_error"
    assert set(last["error"]) == {"message", "type", "param", "code"}
    delivered = sum(bool(e["choices"][0]["delta"].get("content")) for e in before)
    assert delivered == 4
    record = settled_record(cast)
    assert (record.status, record.truth) == ("upstream_broke", "counted")
    assert record.output_tokens == 4
    assert record.cost_nusd > 0


@BOTH_FORMS
def test_the_openai_client_sees_a_broken_stream_as_an_error(
    gateway: Any, cast: Any, model: str
) -> None:
    client = openai.OpenAI(base_url=gateway.base_url, api_key=cast.key, max_retries=0)
    stream = client.chat.completions.create(
        model=model,
        messages=[{"role": "user", "content": say(tokens=20, cut_after=4)}],
        stream=True,
    )
    with pytest.raises(openai.APIError):
        list(stream)


@BOTH_FORMS
@pytest.mark.billing_row("an answer that is not streamed broke off")
def test_a_whole_answer_that_breaks_off_costs_nothing(gateway: Any, cast: Any, model: str) -> None:
    response = gateway.chat(cast, say(text="long", truncated_json=True), model=model)

    assert response.status_code == 502
    assert_charged_nothing(cast, "upstream_failed")


@BOTH_FORMS
def test_plain_json_to_a_stream_is_streamed(gateway: Any, cast: Any, model: str) -> None:
    response = gateway.chat(
        cast, say(text="a b c", plain_json_to_stream=True), model=model, stream=True
    )

    *chunks, done = events(response)
    assert done == "[DONE]"
    assert "".join(c["choices"][0]["delta"].get("content") or "" for c in chunks) == "a b c"
    assert settled_record(cast).status == "completed"


@pytest.mark.parametrize("oddity", [{"numeric_chunks": True}, {"null_chunks": True}], ids=str)
def test_odd_chunks_become_text(gateway: Any, cast: Any, oddity: dict[str, bool]) -> None:
    response = gateway.chat(cast, say(text="1 2 3", **oddity), stream=True)

    *chunks, done = events(response)
    assert done == "[DONE]"
    text = "".join(c["choices"][0]["delta"].get("content") or "" for c in chunks)
    assert text.replace(" ", "") == "123"


# --- the client leaves --------------------------------------------------------------


@BOTH_FORMS
@pytest.mark.parametrize("chunk_ms", [100, 3000])
@pytest.mark.billing_row("the client left in the middle of a stream")
def test_a_client_that_leaves_stops_upstream_at_once_and_pays_for_what_it_got(
    gateway: Any, cast: Any, model: str, chunk_ms: int
) -> None:
    mark = f"leaving {cast.code}"
    wire = open_stream(gateway, cast, say(tokens=200, chunk_ms=chunk_ms) + mark, model)
    got = 0
    while got < 2:
        line = wire.readline()
        assert line, "the stream ended early"
        got += b"tok" in line
    left_at = time.time()
    wire.close()

    call = wait_for(lambda: ended_call(gateway, mark), timeout_s=5)
    assert call["ended"] == "client_gone"
    assert call["ended_at"] - left_at < 0.7
    record = settled_record(cast)
    assert (record.status, record.truth) == ("client_gone", "counted")
    assert got <= record.output_tokens <= got + 8
    assert record.cost_nusd > 0


@pytest.mark.billing_row("the client left before the first token")
def test_a_client_that_leaves_before_the_first_token_pays_nothing(gateway: Any, cast: Any) -> None:
    mark = f"early {cast.code}"
    connection = connect(gateway)
    send(connection, cast, say(text="late", delay_ms=20_000) + mark, NATIVE)
    wait_for(lambda: gateway.upstream_calls(mark))
    left_at = time.time()
    connection.close()

    call = wait_for(lambda: ended_call(gateway, mark), timeout_s=5)
    assert call["ended_at"] - left_at < 0.7

    record = assert_charged_nothing(cast, "client_gone")
    assert record.output_tokens == 0


@pytest.mark.billing_row("the client left while an answer that is not streamed was made")
def test_a_client_that_leaves_a_whole_answer_pays_for_it(gateway: Any, cast: Any) -> None:
    mark = f"whole {cast.code}"
    connection = connect(gateway)
    send(connection, cast, say(tokens=7, delay_ms=1_000) + mark, NATIVE, stream=False)
    wait_for(lambda: gateway.upstream_calls(mark))
    connection.close()

    record = settled_record(cast)
    assert (record.status, record.output_tokens) == ("completed", 7)
    assert record.cost_nusd > 0


def connect(gateway: Any) -> http.client.HTTPConnection:
    return http.client.HTTPConnection(urlsplit(gateway.url).netloc, timeout=20)


def send(
    connection: http.client.HTTPConnection, cast: Any, text: str, model: str, *, stream: bool = True
) -> None:
    body = {"model": model, "messages": [{"role": "user", "content": text}], "stream": stream}
    connection.request(
        "POST",
        "/v1/chat/completions",
        body=json.dumps(body),
        headers={**cast.auth, "Content-Type": "application/json", "Connection": "close"},
    )


def open_stream(gateway: Any, cast: Any, text: str, model: str) -> http.client.HTTPResponse:
    connection = connect(gateway)
    send(connection, cast, text, model)
    response = connection.getresponse()
    assert response.status == 200
    return response


def ended_call(gateway: Any, mark: str) -> dict[str, Any] | None:
    calls = gateway.upstream_calls(mark)
    return calls[0] if calls and calls[0].get("ended_at") else None


@BOTH_FORMS
@pytest.mark.parametrize("path", ["chat/completions", "messages", "run/{model}"])
@pytest.mark.billing_row("the provider failed before the first token, and a repeat succeeded")
def test_a_stream_that_fails_before_its_first_token_is_begun_anew(
    gateway: Any, cast: Any, model: str, path: str
) -> None:
    """Nothing of it has been passed on; though its status is 200, and its error an event."""
    directive = say(text="well", error_frame_after=0, error_times=1, id=f"{cast.code} {path}")
    body = {
        "model": model,
        "messages": [{"role": "user", "content": directive}],
        "max_tokens": 50,
        "stream": True,
    }
    if "run" in path:
        del body["model"]
    response = gateway.post(cast, path.format(model=model), body)

    assert response.status_code == 200, response.text
    assert response.headers["x-agentflare-attempts"] == "2"
    assert "error" not in response.text
    assert settled_record(cast).status == "completed"


# --- it does not begin ----------------------------------------------------------------


@pytest.mark.billing_row("refused by us: key, parameters, credit, limits")
def test_a_refusal_costs_nothing_and_leaves_no_record(gateway: Any, cast: Any) -> None:
    mark = f"refused {cast.code}"
    body = {"model": NATIVE, "messages": [{"role": "user", "content": mark}]}
    refused = [
        gateway.post(cast, "chat/completions", body, headers={"Authorization": "Bearer oi_none"}),
        gateway.post(cast, "chat/completions", body | {"temperature": "hot"}),
        gateway.post(cast, "chat/completions", body | {"model": "no-such-model"}),
        gateway.post(gateway.cast(credit_nusd=0), "chat/completions", body),
    ]

    assert [reply.status_code for reply in refused] == [401, 400, 404, 429]
    assert refused[-1].json()["error"]["code"] == "insufficient_quota"
    assert gateway.upstream_calls(mark) == []
    gateway.chat(cast, say(text="paid"))
    assert settled_record(cast).status == "completed"
