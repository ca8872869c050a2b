"""Celery's side of payments. Each may run twice, and at any time."""

from uuid import UUID

from celery import shared_task

from agentflare.redis_store import RedisDownError
from billing.admission import gate
from billing.payments import events, low_balance, opened, outgoing, upkeep
from billing.stripe import inbox
from billing.stripe.client import is_set_up
from billing.stripe.models import BalanceWatch
from tenants.registry.selectors import tenant_by_code


@shared_task
def process_event_task(event_pk: int) -> None:
    """Do what an event asks for. What fails is tried again by `look_at_events_task`."""
    events.process_event(event_pk)


@shared_task
def look_at_events_task() -> int:
    """Start those events whose task was lost, or whose next try is due. Returns how many."""
    if not is_set_up():
        return 0
    due = list(inbox.due())
    for event_pk in due:
        process_event_task.apply_async(kwargs={"event_pk": event_pk}, expires=60)
    return len(due)


@shared_task
def fetch_missed_events_task() -> int:
    """Keep what was missed while we could not be reached, and look at it. Returns how many."""
    inbox.forget_old()
    missed = events.fetch_missed()
    if missed:
        look_at_events_task.delay()
    return missed


@shared_task
def look_after_payments_task() -> int:
    """Start a look after each open payment that is due. Returns how many."""
    if not is_set_up():
        return 0
    due = opened.due_payments()
    for payment in due:
        look_after_payment_task.apply_async(kwargs={"payment_id": str(payment.pk)}, expires=60)
    return len(due)


@shared_task
def send_owed_mails_task() -> int:
    """Send what was not sent when it was noted. Returns how many were tried."""
    return outgoing.send_due()


@shared_task
def look_after_payment_task(payment_id: str) -> None:
    upkeep.look_after(UUID(payment_id))


@shared_task
def look_after_balances_task() -> int:
    """Start a look after each watched balance that is low, or was. Returns how many."""
    started = 0
    for watched in BalanceWatch.objects.all().iterator():
        if watched.is_low or _is_low(watched):
            look_after_balance_task.apply_async(
                kwargs={"tenant_code": watched.tenant_code}, expires=30
            )
            started += 1
    return started


def _is_low(watched: BalanceWatch) -> bool:
    try:
        known = gate.read(watched.tenant_code)
    except RedisDownError:
        return True
    return known is None or known.posted - known.unsettled < watched.floor_nusd


@shared_task
def look_after_balance_task(tenant_code: str) -> None:
    """Recharge, and tell of a low balance, where that is due."""
    low_balance.look_after_balance(tenant_by_code(tenant_code))
