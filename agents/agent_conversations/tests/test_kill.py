"""`kill -9` of the web process in the middle of turns."""

from concurrent.futures import ThreadPoolExecutor
from decimal import Decimal
from typing import Any

import pytest
import requests

from agents.tests.talker import Talker, script, text_of
from inference.tests.customers import NUSD, new_customer
from inference.tests.settled import wait_for
from sandbox.pytest_whole import wait_until_whole

pytestmark = pytest.mark.slow


@pytest.mark.timeout(240)
def test_a_turn_whose_process_is_killed_is_interrupted_charged_and_made_again(
    own_sandbox: Any,
) -> None:
    customer = new_customer(own_sandbox)
    talker = Talker(customer.url("").rstrip("/"), customer.headers["Authorization"].split()[1])
    path = talker.conversation(talker.agent())
    answer = script(text=" ".join(f"w{n}" for n in range(400)), chunk_ms=40)
    seen: list[Any] = []

    def read() -> None:
        for event in talker.events("POST", f"{path}/turns", {"input": answer, "stream": True}):
            seen.append(event)

    with ThreadPoolExecutor(1) as pool:
        reading = pool.submit(read)
        wait_for(lambda: len(seen) > 100, timeout_s=30)
        pid = own_sandbox.kill("web")
        assert isinstance(reading.exception(), requests.RequestException)
    own_sandbox.wait_for_another("web", pid)
    wait_until_whole(own_sandbox)

    turn_id = seen[0]["turn"]["id"]
    rest = list(
        talker.events(
            "GET",
            f"{path}/turns/{turn_id}?stream=true&starting_after={seen[-1]['sequence_number']}",
        )
    )
    assert rest[-1]["type"] == "turn.interrupted"
    events = seen + rest
    assert [e["sequence_number"] for e in events] == list(range(len(events)))
    turn = talker.get(f"{path}/turns/{turn_id}")
    assert turn["status"] == "interrupted"
    delivered = turn["output"][0]["content"][0]["text"]
    assert delivered == text_of(events)
    assert delivered.startswith("w0 w1 w2")

    customer.wait_until_settled()
    turn = talker.get(f"{path}/turns/{turn_id}")
    (step,) = turn["steps"]
    booked = customer.books().calls
    assert booked[step["request_id"]] == (
        int(Decimal(turn["cost"]) * NUSD),
        "process_died",
    )
    assert Decimal(turn["cost"]) > 0

    # The conversation is free, and the turn can be made again in place of what was delivered.
    short = talker.post(f"{path}/turns/{turn_id}/retry", {"background": True})
    talker.post(f"{path}/turns/{short['id']}/cancel")
    done = talker.post(f"{path}/turns", {"input": script(text="Done.")})
    assert done["status"] == "completed"
    customer.wait_until_settled()
    assert "Clean" in own_sandbox.manage(["audit"])[0]


@pytest.mark.timeout(240)
def test_a_background_response_whose_process_is_killed_has_failed(own_sandbox: Any) -> None:
    customer = new_customer(own_sandbox)
    talker = Talker(customer.url("").rstrip("/"), customer.headers["Authorization"].split()[1])
    body = {
        "model": "qwen-3-30b",
        "input": script(tokens=400, chunk_ms=40),
        "background": True,
    }
    made = talker.post("responses", body)
    stream = talker.events("GET", f"responses/{made['id']}?stream=true")
    for event in stream:
        if event["sequence_number"] > 60:
            break
    pid = own_sandbox.kill("web")
    own_sandbox.wait_for_another("web", pid)
    wait_until_whole(own_sandbox)

    def ended() -> Any:
        told = talker.get(f"responses/{made['id']}")
        return told if told["status"] != "in_progress" else None

    told = wait_for(ended, timeout_s=60)
    assert told["status"] == "failed"
    assert told["error"]["code"] == "server_error"
    assert told["output"][0]["status"] == "incomplete"
    assert told["output"][0]["content"][0]["text"]
    events = list(talker.events("GET", f"responses/{made['id']}?stream=true"))
    assert events[-1]["type"] == "response.failed"
    assert [e["sequence_number"] for e in events] == list(range(len(events)))
