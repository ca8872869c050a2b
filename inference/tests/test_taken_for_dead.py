"""A process that stood still, and whose calls were taken for dead, gives nothing away."""

import json
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from agentflare.partitions import partition_of
from agentflare.redis_store import get_redis
from billing.admission import gate
from billing.admission.selectors import running_holds
from billing.admission.services import books
from inference.tests.settled import say, settled_record, wait_for

CALLS: dict[str, tuple[str, dict[str, Any]]] = {
    "chat": ("chat/completions", {"model": "gpt-oss-20b", "max_tokens": 50}),
    "message": ("messages", {"model": "gpt-oss-20b", "max_tokens": 50}),
    "embedding": ("embeddings", {"model": "bge-m3"}),
    "picture": ("images/generations", {"model": "flux-1-schnell"}),
}


def body_of(kind: str, text: str) -> dict[str, Any]:
    fields = {"embedding": "input", "picture": "prompt"}
    if field := fields.get(kind):
        return {**CALLS[kind][1], field: text}
    return {**CALLS[kind][1], "messages": [{"role": "user", "content": text}]}


def take_for_dead(cast: Any) -> None:
    """As the sweeper does with holds that nobody has renewed."""
    (hold,) = wait_for(lambda: running_holds(cast.code))
    partition = partition_of(cast.code)
    request_id = hold.request_id.removeprefix("req_")
    get_redis().zadd(gate.holds_key(partition), {request_id: 1})
    assert gate.expire(partition=partition, request_id=request_id)


@pytest.mark.billing_row("our process stood still until its call was taken for dead")
@pytest.mark.parametrize("kind", CALLS)
def test_an_answer_that_nobody_pays_for_is_not_delivered(gateway: Any, kind: str) -> None:
    cast = gateway.cast()
    body = body_of(kind, say(text="Lima.", delay_ms=700))

    with ThreadPoolExecutor(1) as pool:
        reply = pool.submit(gateway.post, cast, CALLS[kind][0], body)
        take_for_dead(cast)

    assert reply.result().status_code in {503, 529}, reply.result().text
    assert "stood still" in reply.result().json()["error"]["message"]
    record = settled_record(cast)
    assert (record.status, record.cost_nusd) == ("process_died", 0)
    assert books(cast.tenant).available == 25 * 10**9


@pytest.mark.billing_row("our process stood still until its call was taken for dead")
def test_a_stream_that_nobody_pays_for_ends_in_an_error(gateway: Any) -> None:
    cast = gateway.cast()
    body = body_of("chat", say(tokens=20, chunk_ms=40, delay_ms=300)) | {"stream": True}

    with ThreadPoolExecutor(1) as pool:
        reply = pool.submit(gateway.post, cast, "chat/completions", body)
        take_for_dead(cast)

    *_, last = [line for line in reply.result().text.split("\n\n") if line]
    assert "stood still" in json.loads(last.removeprefix("data: "))["error"]["message"]
    assert settled_record(cast).status == "process_died"
