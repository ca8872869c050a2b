"""Telling people and their servers what was spent, and counting what was refused."""

from datetime import UTC, date, datetime, timedelta

from celery import shared_task

from agentflare.partitions import PARTITIONS
from agentflare.redis_store import RedisDownError
from billing.usage.alerts import tell_alerts
from billing.usage.closed_days import tell_day
from billing.usage.refusals import save_refusals
from tenants.registry.models import Tenant
from tenants.registry.selectors import tenant_by_code


@shared_task(autoretry_for=(OSError,), retry_backoff=True, retry_backoff_max=600, max_retries=8)
def tell_alerts_task(tenant_code: str) -> int:
    """Mail the alerts of a tenant that nobody was told of. Safe to run twice. Returns how many."""
    return tell_alerts(tenant_by_code(tenant_code))


@shared_task
def save_refusals_task() -> int:
    """Take the counts of refused calls from Redis to the tenants' sums. Returns how many calls."""
    saved, down = 0, None
    for partition in range(PARTITIONS):
        try:
            saved += save_refusals(partition)
        except RedisDownError as exc:  # of a cluster another node may answer
            down = exc
    if down:
        raise down
    return saved


@shared_task
def close_day_task() -> int:
    """Tell every tenant's servers of the UTC day before. Returns how many tenants."""
    day = (datetime.now(UTC) - timedelta(days=1)).date()
    codes = list(Tenant.objects.filter(closure=None).values_list("code", flat=True))
    for code in codes:
        tell_day_task.delay(code, day.isoformat())
    return len(codes)


@shared_task
def tell_day_task(tenant_code: str, day: str) -> int:
    """Safe to run twice. Returns how many endpoints are told."""
    return tell_day(tenant_code, date.fromisoformat(day))
