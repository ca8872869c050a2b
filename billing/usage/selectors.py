"""Reading usage. Call these inside the tenant's schema."""

from collections.abc import Collection
from datetime import datetime, timedelta
from typing import Any, NamedTuple

from django.db import connection
from django.db.models import Sum
from django.utils import timezone

from billing.usage.models import HourlyUsage, UsageRecord


def recent_calls(*, limit: int) -> list[UsageRecord]:
    """The latest settled calls, newest first."""
    return list(UsageRecord.objects.all()[:limit])


def spend_by_model(*, days: int) -> list[dict[str, Any]]:
    """`{ai_model, calls, tokens…, cost_nusd}` of the last days, dearest first."""
    since = timezone.now() - timedelta(days=days)
    sums = (
        HourlyUsage.objects.filter(hour__gte=since)
        .values("ai_model")
        .annotate(
            calls=Sum("calls"),
            input_tokens=Sum("input_tokens") + Sum("cached_input_tokens"),
            output_tokens=Sum("output_tokens"),
            cost_nusd=Sum("cost_nusd"),
        )
        .order_by("-cost_nusd")
    )
    return [dict(row) for row in sums]


class Bucket(NamedTuple):
    """Sums of one hour or day. ai_model, key_id: whose; None: of all of them."""

    start: datetime
    ai_model: str | None
    key_id: str | None
    calls: int
    failed_calls: int
    input_tokens: int
    cached_input_tokens: int
    output_tokens: int
    cost_nusd: int


_SUMS = Bucket._fields[3:]


def usage_buckets(
    *, start: datetime, end: datetime, width: str, groups: Collection[str]
) -> list[Bucket]:
    """Sums by "hour" or "day" (UTC), oldest first; buckets without a call are left out.

    groups: of "ai_model" and "key_id". A whole hour is in when it begins in [start, end).
    """
    # By hand: a year by model and key is some twenty thousand rows, and the ORM's way with each
    # takes longer than PostgreSQL's.
    names = [name if name in groups else f"NULL AS {name}" for name in Bucket._fields[1:3]]
    sums = [f"sum({name})::bigint" for name in _SUMS]
    keys = ", ".join(["1", *(name for name in Bucket._fields[1:3] if name in groups)])
    query = (
        f"SELECT date_trunc(%s, hour AT TIME ZONE 'UTC') AT TIME ZONE 'UTC', "  # noqa: S608
        f"{', '.join(names + sums)} FROM usage_hourlyusage WHERE hour >= %s AND hour < %s "
        f"GROUP BY {keys} ORDER BY {keys}"
    )
    with connection.cursor() as cursor:
        cursor.execute(query, [width, start, end])
        return [Bucket._make(row) for row in cursor.fetchall()]
