"""What an event is about, and what is done then. It says which; Stripe says what is."""

import logging
import time
from datetime import datetime, timedelta
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
# A list comes newest first: only whole pieces of time are known to be here.
_PIECE = timedelta(hours=6)
# Well below what a task may take: the next run goes on.
_LONGEST_RUN_S = 25
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

    From the last time that the whole list was read, piece by piece and the oldest first: what a
    broken run has left out comes with the next one.
    """
    if not is_set_up():
        return 0
    now, began = timezone.now(), time.monotonic()
    cursor = EventCursor.objects.filter(pk=1).first()
    since = max(cursor.seen_until - _OVERLAP if cursor else now - _LONGEST, now - _LONGEST)
    missed = 0
    while since < now and time.monotonic() < began + _LONGEST_RUN_S:
        until = min(since + _PIECE, now)
        missed += _fetch(since, until)
        EventCursor.objects.update_or_create(pk=1, defaults={"seen_until": until})
        since = until
    if missed:
        logger.warning("%d Stripe events had not reached us", missed)
    return missed


def _fetch(since: datetime, until: datetime) -> int:
    span = {"gte": int(since.timestamp()), "lte": int(until.timestamp())}
    listed = client().events.list({"created": span, "types": list(inbox.TYPES), "limit": 100})
    return sum(inbox.receive(_raw(event)) is not None for event in listed.auto_paging_iter())


def _raw(event: Any) -> str:
    return str(event)
