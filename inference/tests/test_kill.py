"""`kill -9` of each process in turn, under load: nothing lost, nothing counted twice."""

import json
import os
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
import requests

from inference.tests.chaos.books import booked

ROOT = Path(__file__).resolve().parents[2]
NUSD = 10**9

pytestmark = pytest.mark.slow


class Load:
    """Clients that call without pause, and remember what each answer told."""

    def __init__(self, sandbox: Any) -> None:
        self.url = f"{sandbox.url}/v1/chat/completions"
        self.headers = {"Authorization": f"Bearer {sandbox.env['AGENTFLARE_API_KEY']}"}
        self.told: dict[str, int] = {}
        self.failed = 0
        self._stop = threading.Event()

    def run_while(self, work: Any, *, clients: int = 6) -> None:
        with ThreadPoolExecutor(clients) as pool:
            for number in range(clients):
                pool.submit(self.client, number)
            try:
                work()
            finally:
                self._stop.set()

    def client(self, number: int) -> None:
        while not self._stop.is_set():
            try:
                self.call(stream=number % 2 == 0)
            except (requests.RequestException, ValueError, KeyError, IndexError):
                self.failed += 1
                time.sleep(0.05)

    def call(self, *, stream: bool) -> None:
        body: dict[str, Any] = {
            "model": "llama-3.3-70b-fast",
            "messages": [{"role": "user", "content": '[[sandbox {"tokens": 10, "chunk_ms": 20}]]'}],
        }
        if stream:
            body |= {"stream": True, "stream_options": {"include_usage": True}}
        reply = self.post(body)
        if reply.status_code != 200:
            raise ValueError(reply.text)
        if stream:
            *_, last, done, _ = reply.text.split("\n\n")
            assert done == "data: [DONE]"
            usage = json.loads(last[6:])["usage"]
        else:
            usage = reply.json()["usage"]
        self.told[reply.headers["x-request-id"]] = int(Decimal(usage["request_cost"]) * NUSD)

    def post(self, body: dict[str, Any]) -> requests.Response:
        return requests.post(self.url, json=body, headers=self.headers, timeout=20)


def manage(sandbox: Any, *arguments: str) -> str:
    env = {**os.environ, **sandbox.env, "SECRET_KEY": "test"}
    done = subprocess.run(
        [sys.executable, "manage.py", *arguments],
        cwd=ROOT,
        env=env,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def wait_until_settled(sandbox: Any) -> dict[str, int]:
    """The balance once nothing is held or unsettled: after the sweeper has been round."""
    deadline = time.monotonic() + 60
    while True:
        balance = json.loads(manage(sandbox, "balance", "acme", "--json"))
        amounts = {name: int(Decimal(text) * NUSD) for name, text in balance.items()}
        if not amounts["held"] and not amounts["unsettled"]:
            return amounts
        assert time.monotonic() < deadline, amounts
        time.sleep(1)


def records(sandbox: Any) -> dict[str, tuple[int, str]]:
    """Request id → cost and status of acme's calls."""
    return booked(sandbox, "acme")


@pytest.mark.timeout(240)
def test_nothing_is_lost_or_counted_twice_whoever_is_killed(own_sandbox: Any) -> None:
    sandbox = own_sandbox
    load = Load(sandbox)

    def kill_each_in_turn() -> None:
        for name in ("worker", "valkey", "web", "postgres", "beat", "valkey"):
            time.sleep(2)
            pid = sandbox.kill(name)
            sandbox.wait_for_another(name, pid)
        time.sleep(3)

    load.run_while(kill_each_in_turn)
    balance = wait_until_settled(sandbox)

    assert "Clean" in manage(sandbox, "audit")
    booked = records(sandbox)
    lost = {rid: cost for rid, cost in load.told.items() if booked.get(rid, (0, ""))[0] != cost}
    assert lost == {}
    assert balance["posted"] == 25 * NUSD - sum(cost for cost, _ in booked.values())
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
    load = Load(sandbox)
    whole = {"model": "llama-3.3-70b-fast", "messages": said('{"tokens": 9, "delay_ms": 30000}')}
    spoken = {
        "model": "aura-2-en",
        "voice": "asteria",
        "input": '[[sandbox {"duration_s": 9, "piece_bytes": 2000, "stall_after": 2}]] Hello',
    }
    stream = whole | {"stream": True, "messages": said('{"tokens": 400, "chunk_ms": 50}')}
    speech_url = f"{sandbox.url}/v1/audio/speech"
    with ThreadPoolExecutor(2) as pool:
        pool.submit(requests.post, load.url, json=whole, headers=load.headers, timeout=60)
        pool.submit(requests.post, speech_url, json=spoken, headers=load.headers, timeout=60)
        reply = requests.post(load.url, json=stream, headers=load.headers, timeout=30, stream=True)
        with pytest.raises(requests.RequestException):
            read_and_kill(reply, sandbox, after=100)

    wait_until_settled(sandbox)
    booked = records(sandbox)
    assert [status for _, status in booked.values()] == ["process_died"] * 3
    cost, _ = booked.pop(reply.headers["x-request-id"])
    # 2,703.4 nUSD a token; progress is told every two seconds, forty tokens apart.
    assert 40 * 2_703 < cost < 130 * 2_703 + 100_000
    assert [cost for cost, _ in booked.values()] == [0, 0]


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
