"""How upstreams do: counted by each process, and read of all of them together."""

import time
from collections import Counter
from collections.abc import Iterator
from typing import Any

import pytest
from django.db import OperationalError
from django.test import Client

from agentflare import metrics
from agentflare.redis_store import get_redis
from inference.upstreams import overview, watching
from inference.upstreams.accounts import WORKERS_AI, Account
from inference.upstreams.breakers import FAILURES, breakers
from inference.upstreams.failures import UpstreamCallError
from inference.upstreams.gauges import gauges
from inference.upstreams.models import Upstream
from inference.upstreams.watching import health_of, note_failure, note_success, tell
from inference.workers_ai.failures import failure_for
from inference.workers_ai.rate_limits import PER_MINUTE

ONE = Account("watched-one", WORKERS_AI, "https://x", account_id="a1")


@pytest.fixture(autouse=True)
def nothing_before(_database: None) -> Iterator[None]:
    def clean() -> None:
        breakers.open_all()
        watching._counts.clear()
        watching._last_errors.clear()
        for key in get_redis().scan_iter("upstream_*"):
            get_redis().delete(key)
        Upstream.objects.filter(name__startswith="watched").delete()

    clean()
    yield
    clean()


def test_attempts_failures_and_times_are_added_up() -> None:
    for took_ms in (40, 40, 40, 90, 5000):
        note_success(ONE, kind="chat", took_ms=took_ms)
    note_success(ONE, kind="embeddings", took_ms=10)
    note_failure(ONE, failure_for(3040, "no capacity", 429), kind="chat", model="llama")
    tell()
    note_success(ONE, kind="chat", took_ms=40)
    tell()

    health = health_of([ONE.name])[ONE.name]
    assert health.attempts == 8
    assert health.failed == 1
    assert sum(health.by_minute[-2:]) == 8
    assert health.by_kind["chat"] in (6, 7)  # the busiest minute: one may have ended in between
    assert (health.p50_ms, health.p95_ms) == (50, 6000)
    ((code, number),) = health.failed_by
    assert (code, number) == ("upstream_busy", 1)
    assert health.last_error is not None
    assert health.last_error.ai_model == "llama"
    assert health.last_error.code == 3040


def test_one_that_broke_off_later_is_no_second_attempt() -> None:
    note_success(ONE, kind="chat", took_ms=40)
    note_failure(ONE, UpstreamCallError.broken("gone"), kind="", model="llama")
    tell()
    health = health_of([ONE.name])[ONE.name]
    assert (health.attempts, health.failed) == (1, 1)


def test_breakers_and_running_calls_are_told_by_process_and_go_with_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(watching, "_running", lambda: Counter({ONE.name: 3}))
    for _ in range(FAILURES):
        breakers.failed(
            ONE, UpstreamCallError.unreachable("down"), model="@cf/llama", kind="chat", tenant="t1"
        )
    tell()
    health = health_of([ONE.name])[ONE.name]
    (closed,) = health.closed
    assert (closed.scope, closed.what, closed.tenant) == ("model", "@cf/llama", "")
    assert closed.failures == FAILURES
    assert 0 < closed.until - time.time() <= 60
    assert health.running == 3

    for key in get_redis().scan_iter("upstream_process:*"):
        get_redis().delete(key)
    health = health_of([ONE.name])[ONE.name]
    assert (health.running, health.closed) == (0, [])


def test_near_a_limit_failing_and_left_alone_are_findings() -> None:
    Upstream.objects.create(
        name=ONE.name, provider="workers_ai", account_id="a1", requests_per_minute={"chat": 20}
    )
    for _ in range(18):
        note_success(ONE, kind="chat", took_ms=40)
    for _ in range(6):
        note_failure(ONE, UpstreamCallError.timeout("slow"), kind="chat", model="llama")
        breakers.failed(
            ONE, UpstreamCallError.timeout("slow"), model="@cf/llama", kind="chat", tenant="t1"
        )
    tell()
    (found,) = [each for each in overview.findings() if ONE.name in each.title]
    assert not found.is_well
    assert "of 20 chat calls a minute" in found.value
    assert "left alone: @cf/llama" in found.value
    assert "25 % fail" in found.value


def test_metrics_tell_it_of_each_upstream() -> None:
    Upstream.objects.create(name=ONE.name, provider="workers_ai", account_id="a1")
    note_failure(ONE, UpstreamCallError.timeout("slow"), kind="chat", model="llama")
    tell()
    told = {
        name: by_label[ONE.name] for name, _, label, by_label in gauges() if label == "upstream"
    }
    assert told["agentflare_upstream_failed_ratio"] == 1.0
    assert told["agentflare_upstream_limit_ratio"] == pytest.approx(1 / PER_MINUTE["chat"])
    assert gauges in metrics.gauges


def test_without_redis_nothing_is_told_and_calls_go_on(monkeypatch: pytest.MonkeyPatch) -> None:
    from redis import exceptions

    def down() -> Any:
        raise exceptions.ConnectionError

    monkeypatch.setattr(watching, "get_redis", down)
    note_success(ONE, kind="chat", took_ms=40)
    assert all(each.health is None for each in overview.upstreams())
    assert list(gauges()) == [] or all(not by_label for *_, by_label in gauges())


def test_without_postgresql_the_other_metrics_are_told(
    client: Client, settings: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings.METRICS_TOKEN = "secret"

    def down() -> Any:
        raise OperationalError("PostgreSQL is down: not asked")

    monkeypatch.setattr("inference.upstreams.gauges.upstreams", down)
    answer = client.get("/metrics", headers={"Authorization": "Bearer secret"})
    assert answer.status_code == 200
    assert b"agentflare_store_up" in answer.content
    assert b"agentflare_upstream_running_calls" not in answer.content
