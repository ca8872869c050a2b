"""Reading usage. Call these inside the tenant's schema."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from django.db.models import Sum
from django.db.models.functions import Trunc
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


@dataclass(frozen=True, slots=True)
class Bucket:
    """Sums of one hour or day. groups: what they are of, by column; empty: of everything."""

    start: datetime
    groups: Mapping[str, str]
    calls: int
    failed_calls: int
    input_tokens: int
    cached_input_tokens: int
    output_tokens: int
    cost_nusd: int


_SUMS = (
    "calls",
    "failed_calls",
    "input_tokens",
    "cached_input_tokens",
    "output_tokens",
    "cost_nusd",
)


def usage_buckets(
    *, start: datetime, end: datetime, width: str, groups: Sequence[str]
) -> list[Bucket]:
    """Sums by "hour" or "day" (UTC), oldest first; buckets without a call are left out.

    groups: of "ai_model" and "key_id". A whole hour is in when it begins in [start, end).
    """
    rows = (
        HourlyUsage.objects.filter(hour__gte=start, hour__lt=end)
        .annotate(start=Trunc("hour", width, tzinfo=UTC))
        .values("start", *groups)
        .annotate(**{f"sum_{name}": Sum(name) for name in _SUMS})
        .order_by("start", *groups)
    )
    return [
        Bucket(
            start=row["start"],
            groups={name: row[name] for name in groups},
            **{name: row[f"sum_{name}"] for name in _SUMS},
        )
        for row in rows
    ]
