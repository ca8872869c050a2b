"""The operator suspends a workspace while its calls run: over HTTP, from a process of its own."""

import json
import time
from typing import Any

import openai
import pytest

from inference.tests.settled import say, settled_record, wait_for
from inference.tests.test_how_calls_end import connect, ended_call, open_stream, send
from tenants.registry.services import resume_tenant, suspend_tenant

MODELS = pytest.mark.parametrize("model", ["llama-3.3-70b-fast", "qwen-3-30b"])
WHY = "Your card was stolen."


@pytest.fixture
def cast(gateway: Any) -> Any:
    return gateway.cast()


def suspend(cast: Any, *, ends_streams: bool | None = True) -> float:
    suspend_tenant(tenant=cast.tenant, reason=WHY, actor="test", ends_streams=ends_streams)
    return time.time()


@MODELS
@pytest.mark.billing_row("the operator suspended the workspace in the middle of a stream")
def test_a_stream_ends_within_a_second_says_why_and_costs_what_was_delivered(
    gateway: Any, cast: Any, model: str
) -> None:
    mark = f"suspended {cast.code}"
    wire = open_stream(gateway, cast, say(tokens=400, chunk_ms=50) + mark, model)
    while b"tok" not in wire.readline():
        pass
    suspended_at = suspend(cast)
    rest = wire.read().decode()

    assert time.time() - suspended_at < 1.5
    last = json.loads(rest.strip().split("\n\n")[-1].removeprefix("data: "))
    assert last["error"]["code"] == "tenant_suspended"
    assert WHY in last["error"]["message"]
    assert "[DONE]" not in rest
    upstream = wait_for(lambda: ended_call(gateway, mark), timeout_s=5)
    assert upstream["ended"] == "client_gone"
    record = settled_record(cast)
    assert (record.status, record.error_code) == ("stopped", "tenant_suspended")
    assert 0 < record.output_tokens < 60
    assert record.cost_nusd > 0


@MODELS
@pytest.mark.billing_row("the operator suspended the workspace in the middle of a stream")
def test_while_upstream_is_silent_it_is_broken_off_too_and_costs_nothing(
    gateway: Any, cast: Any, model: str
) -> None:
    mark = f"silent {cast.code}"
    connection = connect(gateway)
    send(connection, cast, say(text="late", delay_ms=20_000) + mark, model)
    wait_for(lambda: gateway.upstream_calls(mark))
    suspended_at = suspend(cast)
    answer = connection.getresponse()

    assert answer.status == 403
    assert json.loads(answer.read())["error"]["code"] == "tenant_suspended"
    assert time.time() - suspended_at < 1.5
    record = settled_record(cast)
    assert (record.status, record.cost_nusd) == ("stopped", 0)


def test_a_native_stream_ends_too(gateway: Any, cast: Any) -> None:
    body = {
        "messages": [{"role": "user", "content": say(tokens=400, chunk_ms=50)}],
        "stream": True,
    }
    connection = connect(gateway)
    connection.request(
        "POST",
        "/v1/run/llama-3.3-70b-fast",
        body=json.dumps(body),
        headers={**cast.auth, "Content-Type": "application/json", "Connection": "close"},
    )
    wire = connection.getresponse()
    while b"tok" not in wire.readline():
        pass
    suspended_at = suspend(cast)
    rest = wire.read().decode()

    assert time.time() - suspended_at < 1.5
    assert "tenant_suspended" in rest
    record = settled_record(cast)
    assert record.status == "stopped"
    assert record.cost_nusd > 0


def test_the_openai_package_raises_what_happened(gateway: Any, cast: Any) -> None:
    client = openai.OpenAI(base_url=f"{gateway.url}/v1", api_key=cast.key, max_retries=0)
    stream = client.chat.completions.create(
        model="qwen-3-30b",
        messages=[{"role": "user", "content": say(tokens=400, chunk_ms=50)}],
        stream=True,
    )
    next(iter(stream))
    suspend(cast)
    with pytest.raises(openai.APIError, match="stolen"):
        list(stream)
    with pytest.raises(openai.PermissionDeniedError, match="stolen"):
        client.chat.completions.create(
            model="qwen-3-30b", messages=[{"role": "user", "content": "again"}]
        )


def test_where_the_operator_lets_them_streams_go_on_to_their_end(gateway: Any, cast: Any) -> None:
    wire = open_stream(gateway, cast, say(tokens=30, chunk_ms=50), "qwen-3-30b")
    while b"tok" not in wire.readline():
        pass
    suspend(cast, ends_streams=False)

    assert wire.read().decode().rstrip().endswith("[DONE]")
    assert settled_record(cast).status == "completed"


def test_an_answer_that_is_not_streamed_is_made_and_paid(gateway: Any, cast: Any) -> None:
    mark = f"whole {cast.code}"
    connection = connect(gateway)
    send(connection, cast, say(tokens=7, delay_ms=1_500) + mark, "qwen-3-30b", stream=False)
    wait_for(lambda: gateway.upstream_calls(mark))
    suspend(cast)

    assert connection.getresponse().status == 200
    assert settled_record(cast).status == "completed"


def test_streams_of_others_and_of_the_time_after_are_left_alone(gateway: Any, cast: Any) -> None:
    other = gateway.cast()
    theirs = open_stream(gateway, other, say(tokens=40, chunk_ms=50), "qwen-3-30b")
    own = open_stream(gateway, cast, say(tokens=400, chunk_ms=50), "qwen-3-30b")
    while b"tok" not in own.readline():
        pass
    suspend(cast)
    resume_tenant(tenant=cast.tenant, actor="test")
    time.sleep(0.6)  # keys are believed for half a second
    again = open_stream(gateway, cast, say(tokens=20, chunk_ms=50), "qwen-3-30b")

    assert "tenant_suspended" in own.read().decode()
    assert again.read().decode().rstrip().endswith("[DONE]")
    assert theirs.read().decode().rstrip().endswith("[DONE]")
