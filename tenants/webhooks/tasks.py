"""Finding tenants with something to deliver, and delivering it."""

from celery import shared_task

from tenants.registry.selectors import TenantNotFoundError, tenant_by_code
from tenants.webhooks.delivery import deliver, wake_up_tenants


@shared_task
def wake_up_task() -> int:
    """Returns how many tenants have something due."""
    due = wake_up_tenants()
    for tenant_code, wake_ups in due:
        deliver_task.delay(tenant_code, wake_ups)
    return len(due)


# Acknowledged at its start: what a killed run leaves is woken up again after a minute.
@shared_task(acks_late=False)
def deliver_task(tenant_code: str, wake_ups: list[int]) -> int:
    """Safe to run twice. Returns how many were sent."""
    try:
        return deliver(tenant_by_code(tenant_code), wake_ups=wake_ups)
    except TenantNotFoundError:
        return 0
