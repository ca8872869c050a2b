"""/metrics, read by Prometheus' own parser."""

import json
import os
import re
import signal
from pathlib import Path
from typing import Any

import pytest
import requests
import yaml  # type: ignore[import-untyped]
from django.test import Client
from prometheus_client.parser import text_string_to_metric_families

from agentflare.counters import count
from agentflare.redis_store import breaker
from inference.tests.settled import wait_for
from sandbox.pytest_whole import wait_until_whole

Samples = dict[tuple[str, frozenset[tuple[str, str]]], float]


def read(text: str) -> Samples:
    return {
        (sample.name, frozenset(sample.labels.items())): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


def of(samples: Samples, name: str, **labels: str) -> float:
    return samples.get((f"agentflare_{name}", frozenset(labels.items())), 0.0)


def test_every_worker_answers_for_all_of_them(gateway: Any) -> None:
    def scrape() -> Samples:
        headers = {"Authorization": "Bearer sandbox"}
        answer = requests.get(f"{gateway.url}/metrics", headers=headers, timeout=10)
        assert answer.headers["Content-Type"].startswith("text/plain")
        return read(answer.text)

    cast, model = gateway.cast(), "granite-4-micro"
    before = scrape()
    for number in range(12):
        # Each by a connection of its own: by whichever worker is free.
        answer = gateway.chat(cast, f"Hello {number}", model=model, max_tokens=5)
        assert answer.status_code == 200
    assert gateway.chat(cast, "Hello", model="gpt-nonsense").status_code == 404

    for _ in range(4):
        now = scrape()
        for name, labels, more in (
            ("calls_total", {"model": model, "outcome": "completed"}, 12),
            ("call_duration_seconds_count", {"model": model}, 12),
            ("refused_calls_total", {"code": "model_not_found"}, 1),
        ):
            assert of(now, name, **labels) - of(before, name, **labels) == more, name
    assert of(now, "revenue_dollars_total", model=model) > 0
    assert of(now, "tokens_total", model=model, kind="output") > 0
    assert of(now, "store_up", store="redis") == 1
    assert ("agentflare_outbox_calls", frozenset()) in now


@pytest.mark.parametrize("told", ["", "Bearer ", "Bearer wrong", "Basic secret"])
def test_whoever_has_not_the_token_finds_nothing(
    acme: Any, client: Client, settings: Any, told: str
) -> None:
    settings.METRICS_TOKEN = "secret"
    assert client.get("/metrics", headers={"Authorization": told}).status_code == 404
    settings.METRICS_TOKEN = ""
    assert client.get("/metrics", headers={"Authorization": told}).status_code == 404
    assert client.get("/metrics").status_code == 404


def test_without_redis_what_is_known_is_told(acme: Any, client: Client, settings: Any) -> None:
    settings.METRICS_TOKEN = "secret"
    breaker.open()
    try:
        answer = client.get("/metrics", headers={"Authorization": "Bearer secret"})
    finally:
        breaker.ask()
    samples = read(answer.content.decode())
    assert of(samples, "store_up", store="redis") == 0
    assert ("agentflare_outbox_calls", frozenset()) not in samples
    again = client.get("/metrics", headers={"Authorization": "Bearer secret"})
    assert of(read(again.content.decode()), "store_up", store="redis") == 1


# Counters that have no sample before something was counted.
COUNTED_LATER = {"agentflare_refused_calls_total", "agentflare_first_token_seconds_bucket"}


def test_dashboard_and_alerts_ask_for_metrics_that_there_are(gateway: Any) -> None:
    gateway.chat(gateway.cast(), "Hello", model="llama-3.2-1b", max_tokens=5)
    headers = {"Authorization": "Bearer sandbox"}
    told = read(requests.get(f"{gateway.url}/metrics", headers=headers, timeout=10).text)

    folder = Path(__file__).resolve().parents[2] / "docs" / "grafana"
    board = json.loads((folder / "agentflare.json").read_text())
    asked = [target["expr"] for panel in board["panels"] for target in panel["targets"]]
    rules = yaml.safe_load((folder / "alerts.yml").read_text())
    asked += [rule["expr"] for group in rules["groups"] for rule in group["rules"]]
    names = {name for expr in asked for name in re.findall(r"agentflare_[a-z_]+", expr)}

    assert len(asked) > 20
    assert names <= {name for name, _ in told} | COUNTED_LATER


def told_by(url: str) -> Samples:
    headers = {"Authorization": "Bearer sandbox"}
    return read(requests.get(f"{url}/metrics", headers=headers, timeout=10).text)


def test_tasks_pools_and_webhooks_are_told(gateway: Any) -> None:
    count(("webhook_attempts_total", "failed", 2), ("webhook_attempts_total", "delivered", 1))
    gateway.chat(gateway.cast(), "Hello", model="llama-3.2-1b", max_tokens=5)

    def with_tasks() -> Any:
        told = told_by(gateway.url)
        return told if of(told, "task_runs_total", task="settle_task") else None

    told = wait_for(with_tasks)
    runs = of(told, "task_runs_total", task="settle_task")
    assert of(told, "task_failures_total", task="settle_task") is not None
    assert 0 < of(told, "task_seconds_total", task="settle_task") < runs * 10
    assert of(told, "webhook_attempts_total", outcome="failed") >= 2
    assert of(told, "task_queue_length") >= 0
    used, idle = (of(told, "database_connections", state=state) for state in ("used", "idle"))
    assert used + idle >= 1


def test_a_worker_that_is_killed_takes_no_counts_with_it(own_sandbox: Any) -> None:
    """Nor does it leave its gauges behind."""
    url = f"http://127.0.0.1:{own_sandbox.port}"

    def refuse() -> None:
        # Counted by whichever worker answers.
        requests.get(f"{url}/v1/models", timeout=10)

    def refused() -> float:
        return sum(
            value
            for (name, _), value in told_by(url).items()
            if name == "agentflare_responses_total"
        )

    def connections() -> float:
        return sum(
            value
            for (name, _), value in told_by(url).items()
            if name == "agentflare_database_connections"
        )

    for _ in range(20):
        refuse()
    before, pools = refused(), wait_for(connections)
    web = own_sandbox.pids()["web"]
    workers = Path(f"/proc/{web}/task/{web}/children").read_text().split()
    assert len(workers) > 1
    for worker in workers:
        os.kill(int(worker), signal.SIGKILL)
    wait_until_whole(own_sandbox)

    refuse()
    assert refused() == before + 1
    wait_for(lambda: 0 < connections() <= pools)
