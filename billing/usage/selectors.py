"""Reading usage. Call these inside the tenant's schema."""

from datetime import timedelta
from typing import Any

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
