"""What waits for the ledger, and what is held, as metrics."""

from collections.abc import Iterator
from contextlib import closing

import redis
from celery import current_app
from django.conf import settings

from agentflare import degraded
from agentflare.metrics import Gauge
from agentflare.redis_store import RedisDownError
from billing.business.health import queues

_BROKER_TIMEOUT_S = 1.0
_STORES = ("postgresql", "redis")


def gauges() -> Iterator[Gauge]:
    down = degraded.stores()
    up = {store: float(store not in down) for store in _STORES}
    yield "agentflare_store_up", "Whether this process has the store.", "store", up
    try:
        yield "agentflare_task_queue_length", "Tasks that no worker has begun.", "", {"": _tasks()}
        found = queues()
    except RedisDownError:
        return  # what is not known is not told
    for name, about, number in (
        ("outbox_calls", "Captured calls that the ledger does not have yet.", found.waiting),
        ("outbox_oldest_seconds", "How long the oldest of them has waited.", found.waiting_s),
        ("dead_letters", "Calls that the ledger cannot take.", found.dead_letters),
        ("holds", "Running calls.", found.holds),
        ("stale_holds", "Calls whose process has died, not captured yet.", found.stale_holds),
    ):
        yield f"agentflare_{name}", about, "", {"": number}


def _tasks() -> float:
    """Celery's lists in the broker, which may be another Redis than ours."""
    names = [current_app.conf.task_default_queue]
    names += [f"settle.{number}" for number in range(settings.SETTLE_QUEUES)]
    broker = redis.Redis.from_url(
        settings.CELERY_BROKER_URL,
        socket_timeout=_BROKER_TIMEOUT_S,
        socket_connect_timeout=_BROKER_TIMEOUT_S,
    )
    with closing(broker):
        return float(sum(broker.llen(name) for name in names))
