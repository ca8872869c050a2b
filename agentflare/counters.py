"""Counters of processes that nobody asks for metrics: kept in Redis, told by whichever is asked.

Workers of Celery have no `/metrics`, and come and go. A count that Redis does not take is lost:
these are figures to watch by, and no money.
"""

from collections.abc import Iterator
from contextlib import suppress

from agentflare.metrics import Gauge
from agentflare.redis_store import RedisDownError, get_redis

_KEY = "counters"
_ABOUT = {
    "task_runs_total": ("Tasks that ended.", "task"),
    "task_failures_total": ("Tasks that ended in an exception.", "task"),
    "task_seconds_total": ("How long tasks took, together.", "task"),
    "webhook_attempts_total": ("Attempts to deliver to tenants' webhooks.", "outcome"),
}


def count(*counts: tuple[str, str, float]) -> None:
    """Name (one of _ABOUT), label's value, and how much more."""
    with suppress(*RedisDownError):
        pipeline = get_redis().pipeline(transaction=False)
        for name, label, more in counts:
            pipeline.hincrbyfloat(_KEY, f"{name}:{label}", more)
        pipeline.execute()


def gauges() -> Iterator[Gauge]:
    """Never lower than before, unless Redis was emptied."""
    with suppress(*RedisDownError):
        known = get_redis().hgetall(_KEY)
        for name, (about, label) in _ABOUT.items():
            prefix = f"{name}:"
            yield (
                f"agentflare_{name}",
                about,
                label,
                {
                    key.removeprefix(prefix): float(value)
                    for key, value in known.items()
                    if key.startswith(prefix)
                },
            )
