"""What an event is about, and what is done then. It says which; Stripe says what is."""

import logging
from datetime import timedelta
from typing import Any

from django.utils import timezone

from billing.payments.accounts import sync_card
from billing.payments.sync import PaymentMismatchError, sync_payment, sync_session
from billing.stripe import inbox
from billing.stripe.client import client, is_set_up
from billing.stripe.models import EventCursor

logger = logging.getLogger(__name__)

# Events appear in Stripe's list a little after their time.
_OVERLAP = timedelta(minutes=10)
# Stripe keeps them for 30 days.
_LONGEST = timedelta(days=29)


def process_event(event_pk: int) -> None:
    """Do what an event asks for. Safe to repeat; a failure is kept and tried again later."""
    event = inbox.begin(event_pk)
    if event is None:
        return
    try:
        tenant_code = _handle(event.type, inbox.object_of(event))
    except PaymentMismatchError as exc:
        inbox.fail(event, exc, for_good=True)
    except Exception as exc:
        logger.warning("Stripe event %s failed", event.event_id, exc_info=True)
        inbox.fail(event, exc)
    else:
        inbox.finish(event, tenant_code=tenant_code)


def _handle(type_: str, told: dict[str, Any]) -> str | None:
    """Returns the tenant's code; None where it is no affair of ours."""
    kind = told.get("object")
    if type_ not in inbox.TYPES:
        return None
    match kind:
        case "checkout.session":
            return sync_session(told["id"])
        case "payment_intent":
            return sync_payment(told["id"])
        case "payment_method":
            return sync_card(told["id"])
    payment = told.get("payment_intent")
    return sync_payment(payment) if isinstance(payment, str) else None


def fetch_missed() -> int:
    """Keep the events of Stripe's list that never reached us. Returns how many.

    From the last time that the whole list was read: what a broken run has left out comes with
    the next one.
    """
    if not is_set_up():
        return 0
    now = timezone.now()
    cursor = EventCursor.objects.filter(pk=1).first()
    since = max(cursor.seen_until - _OVERLAP if cursor else now - _LONGEST, now - _LONGEST)
    listed = client().events.list(
        {"created": {"gte": int(since.timestamp())}, "types": list(inbox.TYPES), "limit": 100}
    )
    missed = 0
    for event in listed.auto_paging_iter():
        missed += inbox.receive(_raw(event)) is not None
    EventCursor.objects.update_or_create(pk=1, defaults={"seen_until": now})
    if missed:
        logger.warning("%d Stripe events had not reached us", missed)
    return missed


def _raw(event: Any) -> str:
    return str(event)
