"""Celery's side of reconciliation. Safe to run at any time, any number of times."""

from datetime import UTC, datetime, timedelta

from celery import shared_task

from billing.reconciliation.comparing import days_to_look_at
from inference.reconciliation import services

_LIMIT_S = 3600


# Acknowledged at its start: with very many tenants and accounts it takes longer than a task that
# was taken may, and the next run does it again from the beginning.
@shared_task(acks_late=False, time_limit=_LIMIT_S)
def reconcile_task() -> int:
    """Compare the days that are over. Returns how many of them are beyond tolerance."""
    return len(services.reconcile(days=days_to_look_at()).beyond)


@shared_task(acks_late=False, time_limit=_LIMIT_S)
def roll_up_task() -> None:
    """Put today's and yesterday's sums of all tenants where the operator sees them."""
    today = datetime.now(UTC).date()
    services.roll_up_days([today, today - timedelta(days=1)])


@shared_task
def collect_figures_task() -> int:
    """Correct calls by AI Gateway's log. Returns how many it told of."""
    return services.collect_figures()
