"""Celery's side of settlement. Safe to run at any time, any number of times."""

from celery import shared_task
from django.db import InterfaceError, OperationalError

from billing.settlement import services, sweeper


@shared_task
def settle_task() -> int:
    """Start settlement of every partition that has anything to settle. Returns how many."""
    partitions = services.busy_partitions()
    for partition in partitions:
        settle_partition_task.apply_async(kwargs={"partition": partition}, expires=5)
    return len(partitions)


@shared_task(
    autoretry_for=(OperationalError, InterfaceError),
    retry_backoff=True,
    max_retries=3,
)
def settle_partition_task(partition: int) -> int:
    """Book one partition's captured usage. Returns how many events."""
    return services.settle_partition(partition=partition)


@shared_task
def expire_holds_task() -> int:
    """Capture the holds of dead processes. Returns how many."""
    return sweeper.expire_holds()
