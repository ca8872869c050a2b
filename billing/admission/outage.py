"""Whether this process does without Redis at the gate, and what it still knows of it."""

import logging
import threading
from collections.abc import Callable
from urllib.parse import urlsplit

from django.conf import settings

from agentflare import degraded
from agentflare.partitions import PARTITIONS, partition_key
from agentflare.redis_store import get_redis

logger = logging.getLogger(__name__)
_MEMORY_SIZE = 20_000

_is_on = False
_is_told = False
# Wakes the thread that keeps this process' holds.
woken = threading.Event()
# Tenant code → what the gate last said to be free, in nUSD.
_known_nusd: dict[str, int] = {}
# Called when an outage begins: starts that thread where it does not run.
on_enter: list[Callable[[], None]] = []


def is_on() -> bool:
    """Whether PostgreSQL admits in Redis' place. Outlasts Redis' return until all is told."""
    return _is_on


def enter(reason: object) -> None:
    """From here on Redis is not asked to admit or capture. Repeats change nothing."""
    global _is_on
    if _is_on:
        return
    _is_on = True
    degraded.enter("redis", cause="gate")
    logger.warning("PostgreSQL admits in Redis' place: %s", reason)
    for call in on_enter:
        call()
    woken.set()


def note_told() -> None:
    """PostgreSQL knows of this outage from us: it cannot be left without PostgreSQL."""
    global _is_told
    _is_told = True


def is_told() -> bool:
    return _is_told


def leave() -> None:
    global _is_on, _is_told
    _is_told = False
    if _is_on:
        _is_on = False
        logger.warning("Redis admits again")
    degraded.leave("redis", cause="gate")


def note_available(tenant_code: str, nusd: int) -> None:
    """What the gate says, at each call."""
    if len(_known_nusd) >= _MEMORY_SIZE:
        _known_nusd.clear()
    _known_nusd[tenant_code] = nusd


def last_available(tenant_code: str) -> int | None:
    return _known_nusd.get(tenant_code)


def forget() -> None:
    """As a new process."""
    leave()
    _known_nusd.clear()


def redis_name() -> str:
    """Whose gate this is, without its password."""
    url = urlsplit(settings.REDIS_URL)
    return f"{url.hostname or ''}:{url.port or ''}{url.path}"[:200]


# --- what a Redis that has lost everything does not have -------------------------


def mark_key(partition: int) -> str:
    """Set for good; gone with everything else when a Redis is flushed or starts empty."""
    return partition_key(partition, "mark")


def has_marks() -> bool:
    """Whether Redis is as we left it. Raises RedisDownError."""
    pipeline = get_redis().pipeline(transaction=False)
    for partition in range(PARTITIONS):
        pipeline.exists(mark_key(partition))
    return all(pipeline.execute())


def set_marks() -> None:
    """Raises RedisDownError."""
    pipeline = get_redis().pipeline(transaction=False)
    for partition in range(PARTITIONS):
        pipeline.set(mark_key(partition), "1")
    pipeline.execute()
