"""Upstreams as metrics: of all processes, whichever is asked."""

from collections.abc import Callable, Iterable, Iterator

from django.db import InterfaceError, OperationalError

from agentflare.metrics import Gauge
from inference.upstreams.failures import Scope
from inference.upstreams.overview import Use, upstreams
from inference.upstreams.watching import AccountHealth


def gauges() -> Iterator[Gauge]:
    try:
        known = [each for each in upstreams() if each.health]
    except (OperationalError, InterfaceError):
        return  # what is not known is not told

    found = {each.name: each.health for each in known if each.health}

    def of_each(read: Callable[[AccountHealth], float]) -> dict[str, float]:
        return {name: float(read(health)) for name, health in found.items()}

    for name, about, read in (
        (
            "upstream_running_calls",
            "Calls that run at an upstream.",
            lambda health: health.running,
        ),
        (
            "upstream_closed_breakers",
            "Targets (account, kind of work, model) that are left alone, over all processes.",
            lambda health: len(health.closed),
        ),
        (
            "upstream_attempts_last_minute",
            "Attempts in the last whole minute.",
            lambda health: health.by_minute[-2] if len(health.by_minute) > 1 else 0,
        ),
        (
            "upstream_failed_ratio",
            "Share of attempts that failed, of the last ten minutes.",
            lambda health: health.failed / health.attempts if health.attempts else 0.0,
        ),
    ):
        yield f"agentflare_{name}", about, "upstream", of_each(read)
    yield (
        "agentflare_upstream_left_alone_models",
        "Models that some process leaves alone at any upstream.",
        "model",
        {
            target.what: 1.0
            for health in found.values()
            for target in health.closed
            if target.scope == Scope.MODEL.value
        },
    )
    yield (
        "agentflare_upstream_limit_ratio",
        "Attempts in the busiest of the last minutes as a share of the limit, of the kind of work "
        "that is nearest to its own.",
        "upstream",
        {each.name: _nearest(each.uses) for each in known},
    )


def _nearest(uses: Iterable[Use]) -> float:
    return max((use.attempts / use.limit for use in uses if use.limit), default=0.0)
