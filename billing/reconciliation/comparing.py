"""Cloudflare's neurons beside ours."""

import logging
from collections.abc import Iterator, Mapping
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal

from django.conf import settings
from django.db import transaction
from django.utils import timezone

from billing.reconciliation.models import UpstreamDay

logger = logging.getLogger(__name__)
_HUNDRED = Decimal(100)
_MOST_PERCENT = Decimal(99_999_999)
# Cloudflare's figures lag by minutes; ours have been settled long before.
LAG = timedelta(hours=2)


def days_to_look_at(*, today: date | None = None) -> list[date]:
    """Those that are over, and whose figures may still have changed, the newest first."""
    today = today or datetime.now(UTC).date()
    return [today - timedelta(days=back) for back in range(1, settings.RECONCILE_DAYS + 1)]


def is_complete(day: date, *, now: datetime) -> bool:
    """Whether Cloudflare has all figures of a UTC day: what differs until then is no drift."""
    end = datetime(day.year, day.month, day.day, tzinfo=UTC) + timedelta(days=1)
    return now >= end + LAG


@transaction.atomic
def compare(*, upstream: str, day: date, neurons: Mapping[str, Decimal]) -> list[UpstreamDay]:
    """Store what Cloudflare has told of an account's day: AI model → neurons.

    Safe to repeat, and to run twice at once. Of a day that is not complete nothing is beyond
    tolerance: it waits.
    """
    # In one order, so that two at once cannot wait for each other.
    missing = [
        UpstreamDay(day=day, upstream=upstream, upstream_model=model) for model in sorted(neurons)
    ]
    UpstreamDay.objects.bulk_create(missing, ignore_conflicts=True)
    rows = list(UpstreamDay.objects.select_for_update().filter(day=day, upstream=upstream))
    for row in rows:
        now = timezone.now()
        _judge(row, neurons.get(row.upstream_model, Decimal(0)), now=now)
        row.problem = ""
        row.compared_at = now
        row.save()
        if row.state == UpstreamDay.State.BEYOND:
            logger.warning("Reconciliation: %s", sentence(row))
    return rows


def note_problem(*, upstream: str, day: date, problem: str) -> None:
    """Cloudflare could not be asked. What an earlier look has found stays."""
    logger.error("Reconciliation: %s on %s: %s", upstream, day, problem)
    UpstreamDay.objects.filter(day=day, upstream=upstream).update(problem=problem[:300])


def _judge(row: UpstreamDay, told: Decimal, *, now: datetime) -> None:
    row.cloudflare_neurons = told
    row.difference = told - row.our_neurons
    row.difference_percent = None
    if told:
        percent = row.difference / told * _HUNDRED
        row.difference_percent = max(-_MOST_PERCENT, percent)
    if abs(row.difference) <= tolerance(told):
        row.state = UpstreamDay.State.WITHIN
    elif not is_complete(row.day, now=now):
        row.state = UpstreamDay.State.WAITING
    elif row.state != UpstreamDay.State.EXPLAINED:
        row.state = UpstreamDay.State.BEYOND


def tolerance(told: Decimal) -> Decimal:
    """How far ours may be from what Cloudflare tells, in neurons."""
    percent = told * settings.RECONCILE_TOLERANCE_PERCENT / _HUNDRED
    return max(settings.RECONCILE_TOLERANCE_NEURONS, percent)


def sentence(row: UpstreamDay) -> str:
    """A row in words, for logs and terminals."""
    told = "nothing yet" if row.cloudflare_neurons is None else f"{row.cloudflare_neurons:,.3f}"
    text = f"{row.day} {row.upstream} {row.upstream_model}: Cloudflare {told}, ours "
    text += f"{row.our_neurons:,.3f} neurons"
    if row.difference is not None:
        text += f", difference {row.difference:+,.3f}"
    if row.difference_percent is not None:
        text += f" ({row.difference_percent:+.3f} %)"
    return f"{text}, {row.get_state_display()}"


def find_drift() -> Iterator[str]:
    """Days of the last while that are beyond tolerance, and nobody has explained."""
    today = datetime.now(UTC).date()
    for row in UpstreamDay.objects.filter(
        state=UpstreamDay.State.BEYOND, day__gte=days_to_look_at(today=today)[-1]
    ):
        yield f"reconciliation: {sentence(row)}"
