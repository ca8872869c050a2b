"""Celery's side of settlement. Safe to run at any time, any number of times."""

from typing import Any

from celery import shared_task
from django.conf import settings
from django.db import InterfaceError, OperationalError

from billing.settlement import services, sweeper


@shared_task
def settle_task() -> int:
    """Start settlement of every partition that has anything to settle. Returns how many."""
    partitions = services.busy_partitions()
    for partition in partitions:
        settle_partition_task.apply_async(
            kwargs={"partition": partition}, expires=5, **_queue_of(partition)
        )
    return len(partitions)


def _queue_of(partition: int) -> dict[str, Any]:
    """Where a partition is settled; empty: with all other tasks.

    A worker that sees only some partitions keeps the tables of only their tenants in mind.
    """
    queues = settings.SETTLE_QUEUES
    return {"queue": f"settle.{partition % queues}"} if queues else {}


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
