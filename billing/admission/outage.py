"""Whether this process does without Redis at the gate, and what it still knows of it.

A gate on one Redis is in an outage as a whole. On a cluster each partition is a part that may be
in one by itself: tenants whose node is well must not notice that another one is away.
"""

import logging
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from urllib.parse import urlsplit

from django.conf import settings

from agentflare import degraded
from agentflare.partitions import PARTITIONS, partition_of
from agentflare.redis_cluster import node_urls
from agentflare.redis_store import is_clustered

logger = logging.getLogger(__name__)
_MEMORY_SIZE = 20_000
# Of a gate on one Redis there is one part. On a cluster: the first of its partitions.
WHOLE = 0


@dataclass(slots=True)
class _Outage:
    """Of one part. is_told: PostgreSQL knows of it from us; has_told_all: and of what we hold."""

    entered_at: float
    is_told: bool = False
    has_told_all: bool = False


_outages: dict[int, _Outage] = {}
_has_joined = False
# Wakes the thread that keeps this process' holds.
woken = threading.Event()
# Tenant code → what the gate last said to be free, in nUSD.
_known_nusd: dict[str, int] = {}
# Called when an outage begins: starts that thread where it does not run.
on_enter: list[Callable[[], None]] = []


# --- the parts of the gate ----------------------------------------------------------


def part_of(tenant_code: str) -> int:
    return partition_of(tenant_code) if is_clustered() else WHOLE


def parts() -> Sequence[int]:
    return range(PARTITIONS) if is_clustered() else (WHOLE,)


def partitions_of(part: int) -> Sequence[int]:
    return (part,) if is_clustered() else range(PARTITIONS)


def parts_on() -> list[int]:
    """Those in an outage."""
    return sorted(_outages)


def redis_name(part: int = WHOLE) -> str:
    """Whose gate this is, in PostgreSQL; without its password."""
    return f"{gate_name()}#p{part}" if is_clustered() else gate_name()


def gate_name() -> str:
    """Of all its parts. A cluster has that of the node that REDIS_URL names first."""
    if is_clustered():
        (host, port), *_ = node_urls(settings.REDIS_URL)
        return f"{host}:{port}/cluster"[:180]
    url = urlsplit(settings.REDIS_URL)
    return f"{url.hostname or ''}:{url.port or ''}{url.path}"[:200]


# --- its outages --------------------------------------------------------------------


def is_on(part: int = WHOLE) -> bool:
    """Whether PostgreSQL admits in Redis' place. Outlasts Redis' return until all is told."""
    return part in _outages


def enter(reason: object, part: int = WHOLE) -> None:
    """From here on Redis is not asked to admit or capture. Repeats change nothing."""
    if part in _outages:
        return
    _outages[part] = _Outage(entered_at=time.monotonic())
    degraded.enter("redis", cause=f"gate {part}")
    logger.warning("PostgreSQL admits in Redis' place at %s: %s", redis_name(part), reason)
    for call in on_enter:
        call()
    woken.set()


def is_settled(part: int = WHOLE) -> bool:
    """Whether what was under way to Redis when it began has come back, well or not."""
    outage, most_s = _outages.get(part), 2 * settings.REDIS_TIMEOUT_S
    return outage is not None and time.monotonic() - outage.entered_at > most_s


def has_joined() -> bool:
    """Whether this process has looked if its elders are in an outage."""
    return _has_joined


def note_joined() -> None:
    global _has_joined
    _has_joined = True


def note_told(part: int = WHOLE) -> None:
    """PostgreSQL knows of this outage from us: it cannot be left without PostgreSQL."""
    if outage := _outages.get(part):
        outage.is_told = True


def is_told(part: int = WHOLE) -> bool:
    outage = _outages.get(part)
    return outage is not None and outage.is_told


def note_told_all(part: int = WHOLE) -> None:
    if outage := _outages.get(part):
        outage.has_told_all = True


def has_told_all(part: int = WHOLE) -> bool:
    """Whether PostgreSQL knows all that this process' calls held when it began."""
    outage = _outages.get(part)
    return outage is not None and outage.has_told_all


def leave(part: int = WHOLE) -> None:
    if _outages.pop(part, None):
        logger.warning("Redis admits again at %s", redis_name(part))
    degraded.leave("redis", cause=f"gate {part}")


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
    for part in [*parts_on(), WHOLE]:
        leave(part)
    _has_joined = False
    _known_nusd.clear()
