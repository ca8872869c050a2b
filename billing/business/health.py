"""Is anything stuck? What the operator's overview says of the machinery at this moment."""

import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import timedelta

from django.utils import timezone

from agentflare import degraded
from agentflare.partitions import PARTITIONS, partition_key
from agentflare.redis_store import RedisDownError, get_redis, moment_of
from billing.admission import gate
from billing.reconciliation.models import UpstreamDay
from billing.stripe.models import KnownDispute, StripeEvent
from tenants.announcements import maintenance
from tenants.announcements.models import Maintenance

# Settlement takes a second; beyond this somebody should look.
_LATE_S = 30
_SOON_DAYS = 3


@dataclass(frozen=True, slots=True)
class Finding:
    """One line. page: the name of the address where more stands; empty: nowhere."""

    title: str
    value: str
    is_well: bool
    page: str = ""


@dataclass(frozen=True, slots=True)
class Queues:
    """waiting: captured calls that the ledger does not have; the oldest for so many seconds.
    stale_holds: of calls whose process has died, not captured yet."""

    waiting: int
    waiting_s: float
    dead_letters: int
    holds: int
    stale_holds: int


def queues() -> Queues:
    """Raises RedisDownError."""
    pipeline, now = get_redis().pipeline(transaction=False), time.time()
    for partition in range(PARTITIONS):
        pipeline.xlen(gate.outbox_key(partition))
        pipeline.xrange(gate.outbox_key(partition), count=1)
        pipeline.xlen(partition_key(partition, "dead_letters"))
        pipeline.zcard(gate.holds_key(partition))
        pipeline.zcount(gate.holds_key(partition), "-inf", now * 1000)
    answers = pipeline.execute()
    waiting, oldest, dead, holds, stale = (answers[at::5] for at in range(5))
    moments = [moment_of(entries[0][0]) for entries in oldest if entries]
    return Queues(
        waiting=sum(waiting),
        waiting_s=max(0.0, now - min(moments)) if moments else 0.0,
        dead_letters=sum(dead),
        holds=sum(holds),
        stale_holds=sum(stale),
    )


# What is above billing adds its own.
_sources: list[Callable[[], Iterable[Finding]]] = []


def add_findings(source: Callable[[], Iterable[Finding]]) -> None:
    """Once, when the process starts."""
    _sources.append(source)


def findings() -> list[Finding]:
    ours = [*_of_stores(), *_of_queues(), *_of_events()]
    return [*ours, *(finding for source in _sources for finding in source())]


def _of_stores() -> list[Finding]:
    down = degraded.stores()
    told = f"without {', '.join(down)}" if down else "both answer"
    found = [Finding("Stores", told, not down)]
    if maintenance.current().is_on:
        state = Maintenance.Mode(maintenance.current().mode)
        found.append(Finding("Maintenance", state.label, is_well=False, page="admin_maintenance"))
    return found


def _of_queues() -> list[Finding]:
    try:
        found = queues()
    except RedisDownError:
        return [Finding("Redis", "does not answer", is_well=False)]
    lag = f"{found.waiting} calls"
    if found.waiting:
        lag += f", the oldest for {found.waiting_s:.0f} s"
    return [
        Finding("Waiting for the ledger", lag, found.waiting_s < _LATE_S, page="admin_backlog"),
        Finding("Running calls", str(found.holds), is_well=True, page="admin_holds"),
        Finding("Stale holds", str(found.stale_holds), not found.stale_holds, page="admin_holds"),
        Finding(
            "Dead letters",
            str(found.dead_letters),
            not found.dead_letters,
            page="admin_dead_letters",
        ),
    ]


def _of_events() -> list[Finding]:
    failed = StripeEvent.objects.filter(state=StripeEvent.State.FAILED).count()
    beyond = UpstreamDay.objects.filter(state=UpstreamDay.State.BEYOND).count()
    soon = timezone.now() + timedelta(days=_SOON_DAYS)
    disputes = KnownDispute.objects.filter(closed_at=None).exclude(outcome="watched")
    late = disputes.filter(answer_by__lt=soon).count()
    told = f"{disputes.count()} open"
    if late:
        told += f", {late} to be answered within {_SOON_DAYS} days"
    return [
        Finding("Disputes", told, not late, page="admin_disputes"),
        Finding(
            "Failed Stripe events",
            str(failed),
            not failed,
            page="admin:stripe_stripeevent_changelist",
        ),
        Finding(
            "Days beyond Cloudflare’s count",
            str(beyond),
            not beyond,
            page="admin:reconciliation_upstreamday_changelist",
        ),
    ]
