"""Calls whose use we have counted ourselves, until AI Gateway's log tells it.

One table for all tenants, so that nobody has to look for them in every schema.
"""

from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta
from uuid import UUID

from django.db import connection
from django.utils import timezone

from billing.reconciliation.models import AwaitedFigure
from billing.usage.events import UsageEvent
from billing.usage.models import Status, Truth

# The log has a stream's row within about half a second of its end.
FIRST_LOOK = timedelta(seconds=5)
_LONGEST_PAUSE = timedelta(hours=1)
# Then what we have counted stays. Less than records stay in the table at least.
GIVEN_UP_AFTER = timedelta(hours=22)
_HIT = "HIT"

# Each try puts the next one off, so a call that is being looked at is nobody else's.
_CLAIM = """
UPDATE reconciliation_awaitedfigure SET tries = tries + 1, due_at = %(now)s
       + least(%(first_s)s * power(2, least(tries + 1, 20)), %(longest_s)s) * interval '1 second'
 WHERE request_id IN (
       SELECT request_id FROM reconciliation_awaitedfigure
        WHERE upstream = %(upstream)s AND due_at <= %(now)s
        ORDER BY due_at LIMIT %(limit)s FOR UPDATE SKIP LOCKED)
RETURNING request_id
"""


def await_figures(events: Iterable[UsageEvent]) -> None:
    """Note those of newly booked calls that can be looked up. Call it in the booking's
    transaction."""
    due_at = timezone.now() + FIRST_LOOK
    rows = [
        AwaitedFigure(
            request_id=UUID(event.request_id),
            tenant_code=event.tenant_code,
            upstream=event.upstream[:40],
            gateway_log_id=event.gateway_log_id[:64],
            is_whole=event.status == Status.COMPLETED and not event.is_cut,
            due_at=due_at,
        )
        for event in events
        if can_be_told(event)
    ]
    if rows:
        AwaitedFigure.objects.bulk_create(rows, ignore_conflicts=True)


def can_be_told(event: UsageEvent) -> bool:
    """Of a call of several answers the log has as many rows, and we know one of them. Other units
    than tokens it does not have; an answer from its cache has cost nothing."""
    return (
        event.truth in (Truth.COUNTED, Truth.ESTIMATED)
        and event.answers == 1
        and bool(event.gateway_log_id and event.upstream)
        and not event.quantities
        and event.cache_status != _HIT
    )


def awaited_upstreams(*, now: datetime) -> list[str]:
    """Accounts that have anything to tell now."""
    due = AwaitedFigure.objects.filter(due_at__lte=now)
    return list(due.order_by("upstream").values_list("upstream", flat=True).distinct())


def claim(upstream: str, *, limit: int, now: datetime) -> list[AwaitedFigure]:
    """As many as are due, the longest waiting first; nobody else gets them for a while."""
    with connection.cursor() as cursor:
        cursor.execute(
            _CLAIM,
            {
                "upstream": upstream,
                "now": now,
                "limit": limit,
                "first_s": FIRST_LOOK.total_seconds(),
                "longest_s": _LONGEST_PAUSE.total_seconds(),
            },
        )
        ids = [row[0] for row in cursor.fetchall()]
    return list(AwaitedFigure.objects.filter(request_id__in=ids).order_by("created_at"))


def forget(request_ids: Sequence[UUID]) -> None:
    """They were looked up, or cannot be."""
    AwaitedFigure.objects.filter(request_id__in=request_ids).delete()


def give_up(*, now: datetime) -> int:
    """What the log has not told in a day it will not tell. Returns how many calls."""
    count, _ = AwaitedFigure.objects.filter(created_at__lt=now - GIVEN_UP_AFTER).delete()
    return count
