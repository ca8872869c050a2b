"""Whether this process does without Redis at the gate, and what it still knows of it."""

import logging
import threading
import time
from collections.abc import Callable
from urllib.parse import urlsplit

from django.conf import settings

from agentflare import degraded

logger = logging.getLogger(__name__)
_MEMORY_SIZE = 20_000

_is_on = False
_is_told = False
_has_told_all = False
_entered_at = 0.0
_has_joined = False
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
    global _is_on, _entered_at
    if _is_on:
        return
    _is_on = True
    _entered_at = time.monotonic()
    degraded.enter("redis", cause="gate")
    logger.warning("PostgreSQL admits in Redis' place: %s", reason)
    for call in on_enter:
        call()
    woken.set()


def is_settled() -> bool:
    """Whether what was under way to Redis when it began has come back, well or not."""
    return time.monotonic() - _entered_at > 2 * settings.REDIS_TIMEOUT_S


def has_joined() -> bool:
    """Whether this process has looked if its elders are in an outage."""
    return _has_joined


def note_joined() -> None:
    global _has_joined
    _has_joined = True


def note_told() -> None:
    """PostgreSQL knows of this outage from us: it cannot be left without PostgreSQL."""
    global _is_told
    _is_told = True


def is_told() -> bool:
    return _is_told


def note_told_all() -> None:
    global _has_told_all
    _has_told_all = True


def has_told_all() -> bool:
    """Whether PostgreSQL knows all that this process' calls held when it began."""
    return _has_told_all


def leave() -> None:
    global _is_on, _is_told, _has_told_all
    _is_told = _has_told_all = False
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
    global _has_joined
    leave()
    _has_joined = False
    _known_nusd.clear()


def redis_name() -> str:
    """Whose gate this is, without its password."""
    url = urlsplit(settings.REDIS_URL)
    return f"{url.hostname or ''}:{url.port or ''}{url.path}"[:200]
