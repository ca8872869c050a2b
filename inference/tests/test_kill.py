"""`kill -9` of each process in turn, under load: nothing lost, nothing counted twice."""

import json
import os
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
import requests

from inference.tests.customers import NUSD, Customer, new_customer
from inference.tests.load import Load
from inference.tests.settled import nusd, say, wait_for

pytestmark = pytest.mark.slow


@pytest.mark.timeout(240)
def test_nothing_is_lost_or_counted_twice_whoever_is_killed(own_sandbox: Any) -> None:
    sandbox = own_sandbox
    load = Load(new_customer(sandbox))

    def kill_each_in_turn() -> None:
        for name in ("worker", "valkey", "web", "postgres", "beat", "valkey"):
            time.sleep(2)
            pid = sandbox.kill(name)
            sandbox.wait_for_another(name, pid)
        time.sleep(3)

    load.run_while(kill_each_in_turn)
    load.customer.wait_until_settled()

    assert "Clean" in sandbox.manage(["audit"])[0]
    books = load.customer.books()
    booked = books.calls
    lost = {rid: cost for rid, cost in load.told.items() if booked.get(rid, (0, ""))[0] != cost}
    assert lost == {}
    assert books.ledger["credit"] == 25 * NUSD - books.spent_nusd
    assert len(load.told) > 30
    # The rest are calls whose client did not get its answer; none of them cost a whole call.
    untold = [booked[rid] for rid in booked.keys() - load.told.keys()]
    assert all(cost <= max(load.told.values()) for cost, _ in untold)


@pytest.mark.timeout(120)
@pytest.mark.billing_row("our process died")
@pytest.mark.billing_row("our process died while it heard or spoke")
def test_calls_whose_process_is_killed_are_charged_for_what_they_had_delivered(
    own_sandbox: Any,
) -> None:
    sandbox = own_sandbox
    customer = new_customer(sandbox)
    chat_url, headers = customer.url("chat/completions"), customer.headers
    whole = {"model": "llama-3.3-70b-fast", "messages": said('{"tokens": 9, "delay_ms": 30000}')}
    spoken = {
        "model": "aura-2-en",
        "voice": "asteria",
        "input": '[[sandbox {"duration_s": 9, "piece_bytes": 2000, "stall_after": 2}]] Hello',
    }
    stream = whole | {"stream": True, "messages": said('{"tokens": 400, "chunk_ms": 50}')}
    speech_url = customer.url("audio/speech")
    with ThreadPoolExecutor(2) as pool:
        pool.submit(requests.post, chat_url, json=whole, headers=headers, timeout=60)
        pool.submit(requests.post, speech_url, json=spoken, headers=headers, timeout=60)
        reply = requests.post(chat_url, json=stream, headers=headers, timeout=30, stream=True)
        with pytest.raises(requests.RequestException):
            read_and_kill(reply, sandbox, after=100)

    customer.wait_until_settled()
    booked = customer.books().calls
    assert [status for _, status in booked.values()] == ["process_died"] * 3
    cost, _ = booked.pop(reply.headers["x-request-id"])
    # 2,703.4 nUSD a token; progress is told every two seconds, forty tokens apart.
    assert 40 * 2_703 < cost < 130 * 2_703 + 100_000
    assert [cost for cost, _ in booked.values()] == [0, 0]


@pytest.mark.timeout(180)
@pytest.mark.billing_row("our process died under a call with an `Idempotency-Key`")
def test_calls_whose_process_is_killed_are_made_again_and_charged_once(own_sandbox: Any) -> None:
    customer = new_customer(own_sandbox)
    balance = customer.wait_until_settled()["available"]
    with ThreadPoolExecutor(2) as pool:
        lost = [pool.submit(long_call, customer, stream=stream) for stream in (False, True)]
        # Some of it is delivered, and the hold has told so.
        time.sleep(5)
        pid = own_sandbox.kill("web")
        assert all(isinstance(call.exception(), requests.RequestException) for call in lost)
    own_sandbox.wait_for_another("web", pid)

    whole = wait_for(lambda: retried(customer, stream=False), timeout_s=120)
    streamed = wait_for(lambda: retried(customer, stream=True), timeout_s=120)

    assert "idempotent-replayed" not in whole.headers
    assert "idempotent-replayed" not in streamed.headers
    last = json.loads(streamed.text.split("\n\n")[-3][6:])
    told = [nusd(answer["usage"]["request_cost"]) for answer in (whole.json(), last)]
    assert balance - customer.wait_until_settled()["available"] == sum(told)


def long_call(customer: Customer, *, stream: bool) -> requests.Response:
    text = say(tokens=40, chunk_ms=200) if stream else say(tokens=40, delay_ms=8000)
    body: dict[str, Any] = {
        "model": "llama-3.3-70b-fast",
        "messages": [{"role": "user", "content": text}],
    }
    if stream:
        body |= {"stream": True, "stream_options": {"include_usage": True}}
    headers = {**customer.headers, "Idempotency-Key": f"killed-{stream}"}
    return requests.post(customer.url("chat/completions"), json=body, headers=headers, timeout=30)


def retried(customer: Customer, *, stream: bool) -> requests.Response | None:
    """As a client does: until the call that died counts as dead."""
    try:
        response = long_call(customer, stream=stream)
    except requests.ConnectionError:
        return None
    if response.status_code in {409, 503}:
        time.sleep(1)
        return None
    assert response.status_code == 200, response.text
    return response


def said(directive: str) -> list[dict[str, str]]:
    return [{"role": "user", "content": f"[[sandbox {directive}]]"}]


def read_and_kill(reply: requests.Response, sandbox: Any, *, after: int) -> None:
    delivered = 0
    for line in reply.iter_lines():
        if b'"content":' not in line or b'"role"' in line:
            continue
        delivered += 1
        if delivered == after:
            kill_web_workers(sandbox)


def kill_web_workers(sandbox: Any) -> None:
    """Master and workers at once, so that none can end its streams in order."""
    master = sandbox.pid("web")
    children = Path(f"/proc/{master}/task/{master}/children").read_text().split()
    for pid in [str(master), *children]:
        os.kill(int(pid), 9)
