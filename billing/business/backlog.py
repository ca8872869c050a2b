"""The way into the ledger: what waits, where, whose, and how it was in the last hours."""

import time
from collections import Counter
from dataclasses import dataclass
from datetime import timedelta

import orjson
from django.db.models.functions import Now
from django.utils import timezone

from agentflare.partitions import PARTITIONS
from agentflare.redis_store import get_redis, moment_of
from billing.admission import gate
from billing.business.health import queues
from billing.business.models import QueueSample

_KEPT = timedelta(days=2)
_SHOWN = timedelta(hours=6)
# Of each partition: enough to see whose they are.
_LOOKED_AT = 200


@dataclass(frozen=True, slots=True)
class Waiting:
    """One partition that has something; the oldest for so many seconds."""

    partition: int
    events: int
    oldest_s: float
    tenants: list[tuple[str, int]]


def take_sample() -> None:
    """Once a minute; a repeat within it replaces it. Raises RedisDownError."""
    found, minute = queues(), timezone.now().replace(second=0, microsecond=0)
    QueueSample.objects.update_or_create(
        at=minute,
        defaults={
            "waiting": found.waiting,
            "waiting_ms": round(found.waiting_s * 1000),
            "dead_letters": found.dead_letters,
            "holds": found.holds,
        },
    )
    QueueSample.objects.filter(at__lt=Now() - _KEPT).delete()


def waiting() -> list[Waiting]:
    """Partitions whose outbox has something, the longest first. Raises RedisDownError."""
    pipeline = get_redis().pipeline(transaction=False)
    for partition in range(PARTITIONS):
        pipeline.xlen(gate.outbox_key(partition))
        pipeline.xrange(gate.outbox_key(partition), count=_LOOKED_AT)
    answers, now = pipeline.execute(), time.time()
    found = []
    for partition in range(PARTITIONS):
        length, entries = answers[2 * partition], answers[2 * partition + 1]
        if not entries:
            continue
        oldest = moment_of(entries[0][0])
        whose = Counter(_tenant_of(fields) for _, fields in entries)
        found.append(Waiting(partition, length, max(0.0, now - oldest), whose.most_common(5)))
    return sorted(found, key=lambda each: -each.oldest_s)


def _tenant_of(fields: dict[str, str]) -> str:
    try:
        return str(orjson.loads(fields["event"])["tenant_code"])
    except (KeyError, TypeError, ValueError):
        return fields.get("tenant", "?")


def samples() -> list[QueueSample]:
    """Of the last hours, the oldest first."""
    return list(QueueSample.objects.filter(at__gte=timezone.now() - _SHOWN).order_by("at"))


def worst_of(found: list[QueueSample]) -> QueueSample | None:
    """The minute in which something had waited longest; None: nothing waited."""
    worst = max(found, key=lambda each: each.waiting_ms, default=None)
    return worst if worst and worst.waiting_ms else None
