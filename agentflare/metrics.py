"""What Prometheus reads: counters and histograms of all workers, and gauges of this moment.

Names and units: prometheus.io/docs/practices/naming. Workers write into files of one folder
(PROMETHEUS_MULTIPROC_DIR, which agentflare/gunicorn.py makes), so whichever of them is asked
answers for all. No label takes what a client sends.
"""

import hmac
from collections.abc import Callable, Iterable, Iterator
from functools import cache
from typing import TypeVar

from django.conf import settings
from django.http import Http404, HttpRequest, HttpResponse
from prometheus_client import CollectorRegistry, Counter, Histogram, generate_latest, values
from prometheus_client import Gauge as PoolGauge
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily
from prometheus_client.exposition import CONTENT_TYPE_LATEST
from prometheus_client.multiprocess import MultiProcessCollector
from prometheus_client.registry import REGISTRY, Collector

Metric = TypeVar("Metric", Counter, Histogram)
_SECONDS = (
    *(0.025, 0.05, 0.1, 0.2, 0.3, 0.5, 0.75),
    *(1, 1.5, 2, 3, 5, 7.5, 10, 15, 20, 30, 60, 120),
)

RESPONSES = Counter("agentflare_responses", "Answers below /v1, by HTTP status.", ["status"])
CALLS = Counter("agentflare_calls", "Calls that were admitted and ended.", ["model", "outcome"])
REFUSED = Counter("agentflare_refused_calls", "Calls that were not admitted.", ["code"])
TOKENS = Counter("agentflare_tokens", "Tokens of calls that ended.", ["model", "kind"])
REVENUE = Counter("agentflare_revenue_dollars", "What tenants paid for calls.", ["model"])
PROVIDER_COST = Counter("agentflare_provider_cost_dollars", "What upstream takes.", ["model"])
DURATION = Histogram(
    "agentflare_call_duration_seconds", "Of calls that ended.", ["model"], buckets=_SECONDS
)
FIRST_TOKEN = Histogram(
    "agentflare_first_token_seconds", "From the call's arrival.", ["model"], buckets=_SECONDS
)


@cache
def of(metric: Metric, *labels: str) -> Metric:
    """The metric's part for these labels, looked up once: `labels` takes as long as counting."""
    return metric.labels(*labels)


# Of all web workers together; those of one that has ended are no more.
DATABASE_CONNECTIONS = PoolGauge(
    "agentflare_database_connections",
    "Connections to PostgreSQL in the web workers' pools, by what they do.",
    ["state"],
    multiprocess_mode="livesum",
)
# Name (a counter's ends with _total), help, and name of its label (empty: none) → values by label.
Gauge = tuple[str, str, str, dict[str, float]]
# What is only known when it is asked for. An app adds its own.
gauges: list[Callable[[], Iterable[Gauge]]] = []


class _Gauges(Collector):
    def collect(self) -> Iterator[GaugeMetricFamily | CounterMetricFamily]:
        for source in gauges:
            for name, about, label, by_label in source():
                kind = CounterMetricFamily if name.endswith("_total") else GaugeMetricFamily
                family = kind(name, about, labels=[label] if label else None)
                for value, number in by_label.items():
                    family.add_metric([value] if label else [], number)
                yield family


def metrics(request: HttpRequest) -> HttpResponse:
    """GET /metrics with `Authorization: Bearer METRICS_TOKEN`.

    Without that setting, or with another token, there is no such page.
    """
    token = settings.METRICS_TOKEN
    told = request.headers.get("Authorization", "").removeprefix("Bearer ")
    if not token or not hmac.compare_digest(told.encode(), token.encode()):
        raise Http404
    registry = CollectorRegistry()
    if values.ValueClass.__name__ == "MmapedValue":
        MultiProcessCollector(registry)  # type: ignore[no-untyped-call]
    else:
        registry.register(_Ours())
    registry.register(_Gauges())
    return HttpResponse(generate_latest(registry), content_type=CONTENT_TYPE_LATEST)


class _Ours(Collector):
    """Of this process, where there is no other."""

    def collect(self) -> Iterator:  # type: ignore[type-arg]
        for family in REGISTRY.collect():
            if family.name.startswith("agentflare_"):
                yield family
