"""Deleting what closed workspaces had."""

from celery import shared_task

from billing.closing.services import delete_data, due_for_deletion
from tenants.registry.selectors import tenant_by_code


@shared_task
def delete_closed_task() -> int:
    """Returns how many are due."""
    codes = due_for_deletion()
    for code in codes:
        delete_data_task.delay(code)
    return len(codes)


@shared_task
def delete_data_task(tenant_code: str) -> bool:
    """Safe to run twice."""
    return delete_data(tenant_by_code(tenant_code))
