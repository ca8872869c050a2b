"""Telling people what keys have spent, and counting what was refused."""

from celery import shared_task

from agentflare.partitions import PARTITIONS
from billing.usage.alerts import tell_alerts
from billing.usage.refusals import save_refusals
from tenants.registry.selectors import tenant_by_code


@shared_task(autoretry_for=(OSError,), retry_backoff=True, retry_backoff_max=600, max_retries=8)
def tell_alerts_task(tenant_code: str) -> int:
    """Mail the alerts of a tenant that nobody was told of. Safe to run twice. Returns how many."""
    return tell_alerts(tenant_by_code(tenant_code))


@shared_task
def save_refusals_task() -> int:
    """Take the counts of refused calls from Redis to the tenants' sums. Returns how many calls."""
    return sum(save_refusals(partition) for partition in range(PARTITIONS))
