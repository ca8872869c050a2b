"""Each store stopped, paused and emptied under load: calls go on, and every sum is right after.

PostgreSQL and Valkey are servers of the test's own; web, worker and beat run as in production.
"""

import json
import os
import signal
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from decimal import Decimal
from pathlib import Path
from typing import Any

import psycopg
import pytest
import requests

from inference.tests.crowd import CREDIT_NUSD, Crowd
from inference.tests.customers import NUSD, Customer, new_customer, new_customers
from inference.tests.load import Load

pytestmark = pytest.mark.slow
# More than PostgreSQL's pool has connections; and the longest that one of them may wait.
CALLS = 30
BOUND_S = 15


class Clients(Load):
    """Remember also how each phase went: statuses, the degraded header, the slowest answer."""

    def __init__(self, customer: Customer) -> None:
        super().__init__(customer)
        self.phase = "before"
        self.answers: Counter[tuple[str, int, str]] = Counter()
        self.slowest_s: dict[str, float] = {}
        # Thread → phase in which its call has begun.
        self.under_way: dict[int, str] = {}

    def post(self, body: dict[str, Any]) -> requests.Response:
        phase, started = self.phase, time.monotonic()
        self.under_way[threading.get_ident()] = phase
        try:
            reply = super().post(body)
        finally:
            del self.under_way[threading.get_ident()]
        took_s = time.monotonic() - started
        self.slowest_s[phase] = max(self.slowest_s.get(phase, 0), took_s)
        degraded = reply.headers.get("x-agentflare-degraded", "")
        self.answers[(phase, reply.status_code, degraded)] += 1
        return reply

    def served(self, phase: str) -> int:
        return sum(
            count
            for (name, status, _), count in self.answers.items()
            if name == phase and status == 200
        )


def clients_and_crowd(sandbox: Any) -> tuple[Clients, Crowd]:
    acme, poor = new_customers(sandbox, {"acme": 25 * NUSD, "poor": CREDIT_NUSD})
    return Clients(acme), Crowd(poor)


def ready(sandbox: Any) -> tuple[int, str]:
    reply = requests.get(f"{sandbox.url}/health/ready", timeout=30)
    return reply.status_code, reply.json()["status"]


def degraded_headers(sandbox: Any) -> str:
    live = requests.get(f"{sandbox.url}/health/live", timeout=30)
    assert live.status_code == 200
    return live.headers.get("x-agentflare-degraded", "")


def wait_until(condition: Callable[[], bool], timeout_s: float = 30.0) -> None:
    deadline = time.monotonic() + timeout_s
    while not condition():
        assert time.monotonic() < deadline, "did not happen in time"
        time.sleep(0.1)


def every_pid(server: Any) -> list[int]:
    """The server and its own processes: PostgreSQL has one for each connection."""
    children = Path(f"/proc/{server.pid}/task/{server.pid}/children").read_text().split()
    return [server.pid, *map(int, children)]


@contextmanager
def paused(server: Any) -> Iterator[None]:
    pids = every_pid(server)
    for pid in pids:
        os.kill(pid, signal.SIGSTOP)
    try:
        yield
    finally:
        for pid in pids:
            os.kill(pid, signal.SIGCONT)


@contextmanager
def killed(server: Any) -> Iterator[None]:
    server.kill()
    try:
        yield
    finally:
        server.start_again()


@contextmanager
def emptied(server: Any) -> Iterator[None]:
    """Killed, and started again at once without its data."""
    server.kill()
    for file in server.folder.glob("appendonlydir/*"):
        file.unlink()
    server.start_again()
    yield


def fallback_rows(stores: Any) -> tuple[int, int]:
    """Rows of calls, and of outages that are not over."""
    with psycopg.connect(stores.postgres.url) as connection:
        row = connection.execute(
            "SELECT (SELECT count(*) FROM admission_fallbackhold),"
            " (SELECT count(*) FROM admission_gatestanding WHERE down_since IS NOT NULL)"
        ).fetchone()
    assert row is not None
    return row[0], row[1]


def assert_sums(stores: Any, load: Load) -> None:
    """What clients were told, the ledger, the gate and the audit agree to the nano-dollar."""
    sandbox = stores.sandbox
    wait_until(lambda: ready(sandbox) == (200, "ready"))
    load.customer.wait_until_settled()
    wait_until(lambda: fallback_rows(stores) == (0, 0))
    assert "Clean" in sandbox.manage(["audit"])[0]
    books = load.customer.books()
    booked = books.calls
    wrong = {rid: cost for rid, cost in load.told.items() if booked.get(rid, (0, ""))[0] != cost}
    assert wrong == {}
    assert books.ledger["credit"] == 25 * NUSD - books.spent_nusd
    untold = [booked[rid] for rid in booked.keys() - load.told.keys()]
    assert all(cost <= max(load.told.values()) for cost, _ in untold), untold


@pytest.mark.timeout(180)
@pytest.mark.parametrize("stop", [killed, paused])
@pytest.mark.billing_row("one of our stores failed, or stood still, or lost its data")
def test_without_redis_calls_are_served_and_every_sum_is_right(own_stores: Any, stop: Any) -> None:
    load, crowd = clients_and_crowd(own_stores.sandbox)

    def work() -> None:
        time.sleep(2)
        with crowd.calling(), stop(own_stores.valkey):
            time.sleep(3)
            load.phase = "without"
            assert ready(own_stores.sandbox) == (200, "degraded")
            # A worker without calls notices a little later.
            wait_until(lambda: "redis" in degraded_headers(own_stores.sandbox))
            time.sleep(6)
            load.phase = "leaving"
            wait_until(lambda: "without" not in list(load.under_way.values()))
        wait_until(lambda: ready(own_stores.sandbox) == (200, "ready"))
        time.sleep(3)  # for the other web worker
        load.phase = "after"
        time.sleep(3)

    load.run_while(work)

    assert load.served("before") > 10
    assert load.served("without") > 10
    assert load.served("after") > 10
    assert load.answers[("without", 200, "redis")] == load.served("without")
    assert not load.answers[("after", 200, "redis")]
    assert load.slowest_s["without"] < 5
    assert_sums(own_stores, load)
    crowd.assert_no_overdraft()


@pytest.mark.timeout(180)
@pytest.mark.billing_row("one of our stores failed, or stood still, or lost its data")
def test_an_emptied_redis_is_made_again_from_the_ledger_under_load(own_stores: Any) -> None:
    load, crowd = clients_and_crowd(own_stores.sandbox)

    def work() -> None:
        time.sleep(2)
        with crowd.calling(), emptied(own_stores.valkey):
            load.phase = "after"
            time.sleep(8)
        with emptied(own_stores.valkey):
            time.sleep(8)
        wait_until(lambda: ready(own_stores.sandbox) == (200, "ready"))
        time.sleep(2)

    load.run_while(work)

    assert load.served("after") > 30
    assert_sums(own_stores, load)
    crowd.assert_no_overdraft()


@pytest.mark.timeout(180)
@pytest.mark.parametrize("stop", [killed, paused])
@pytest.mark.billing_row("one of our stores failed, or stood still, or lost its data")
def test_without_postgresql_warm_keys_go_on_and_nothing_is_lost(own_stores: Any, stop: Any) -> None:
    load = Clients(new_customer(own_stores.sandbox))
    sandbox = own_stores.sandbox

    def work() -> None:
        time.sleep(2)
        with stop(own_stores.postgres):
            time.sleep(1)
            load.phase = "without"
            cold = requests.get(f"{sandbox.url}/accounts/login/", timeout=30)
            assert cold.status_code in {200, 503}
            time.sleep(8)
        load.phase = "after"
        time.sleep(3)

    load.run_while(work)

    assert load.served("without") > 10
    assert load.slowest_s["without"] < 5
    assert_sums(own_stores, load)


@pytest.mark.timeout(180)
@pytest.mark.billing_row("one of our stores failed, or stood still, or lost its data")
def test_with_neither_store_running_calls_are_spooled_and_new_ones_wait(own_stores: Any) -> None:
    sandbox = own_stores.sandbox
    load = Clients(new_customer(sandbox))
    load.call(stream=True)
    begun: list[str] = []
    told: list[str] = []

    def long_stream() -> None:
        text = '[[sandbox {"tokens": 120, "chunk_ms": 50}]]'
        body = {
            "model": "llama-3.3-70b-fast",
            "stream": True,
            "stream_options": {"include_usage": True},
            "messages": [{"role": "user", "content": text}],
        }
        reply = requests.post(load.url, json=body, headers=load.headers, timeout=60, stream=True)
        begun.append(reply.headers["x-request-id"])
        *_, last, done, _ = reply.text.split("\n\n")
        assert done == "data: [DONE]"
        cost = json.loads(last[6:])["usage"]["request_cost"]
        load.told[reply.headers["x-request-id"]] = int(Decimal(cost) * NUSD)
        told.append(cost)

    refused: list[tuple[int, bool]] = []

    def refused_call() -> None:
        """Answered in time, though PostgreSQL never answers what it is asked."""
        body = {"model": "llama-3.3-70b-fast", "messages": [{"role": "user", "content": "hi"}]}
        reply = requests.post(load.url, json=body, headers=load.headers, timeout=BOUND_S)
        refused.append((reply.status_code, "retry-after" in reply.headers))

    streams = [threading.Thread(target=long_stream) for _ in range(4)]
    for stream in streams:
        stream.start()
    wait_until(lambda: len(begun) == 4)
    with killed(own_stores.valkey), paused(own_stores.postgres):
        calls = [threading.Thread(target=refused_call) for _ in range(CALLS)]
        for call in calls:
            call.start()
        time.sleep(1)
        assert requests.get(f"{sandbox.url}/health/live", timeout=2).status_code == 200
        assert ready(sandbox) == (503, "unready")
        for thread in (*calls, *streams):
            thread.join()
        assert refused == [(503, True)] * CALLS
        assert len(told) == 4
        spool = Path(sandbox.folder).parent / "spool"
        assert sum(len(path.read_text().splitlines()) for path in spool.iterdir()) == 4
        # Who wrote it is killed: another process finds it.
        pid = sandbox.kill("web")
    sandbox.wait_for_another("web", pid)
    wait_until(lambda: not list(spool.iterdir()))

    assert_sums(own_stores, load)
