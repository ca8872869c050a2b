"""A UTC day is over: the event usage.day_closed."""

from datetime import date

from django.db import transaction
from django.db.models import Sum

from billing.usage.models import DailyUsage
from tenants.registry.schemas import tenant_schema
from tenants.webhooks.outbox import emit


def tell_day(tenant_code: str, day: date) -> int:
    """Once for each day. Returns how many endpoints are told."""
    with tenant_schema(tenant_code), transaction.atomic():
        sums = DailyUsage.objects.filter(day=day).aggregate(
            calls=Sum("calls", default=0),
            failed_calls=Sum("failed_calls", default=0),
            input_tokens=Sum("input_tokens", default=0),
            cached_input_tokens=Sum("cached_input_tokens", default=0),
            output_tokens=Sum("output_tokens", default=0),
            cost_nusd=Sum("cost_nusd", default=0),
        )
        data = {**sums, "day": day.isoformat(), "cost_nusd": str(sums["cost_nusd"])}
        return emit(
            tenant_code=tenant_code, event="usage.day_closed", cause=day.isoformat(), data=data
        )
