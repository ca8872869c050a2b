"""Events as they come in: each is kept once, and looked at until something came of it."""

import json
import logging
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

from django.db.models import F
from django.utils import timezone

from billing.stripe.models import StripeEvent

logger = logging.getLogger(__name__)

# What we are told of, and ask for: each names a payment, a session or a saved card.
TYPES = (
    "checkout.session.completed",
    "checkout.session.async_payment_succeeded",
    "checkout.session.async_payment_failed",
    "checkout.session.expired",
    "payment_intent.succeeded",
    "payment_intent.payment_failed",
    "payment_intent.canceled",
    "payment_intent.requires_action",
    "charge.refunded",
    "charge.refund.updated",
    "refund.created",
    "refund.updated",
    "refund.failed",
    "charge.dispute.created",
    "charge.dispute.updated",
    "charge.dispute.closed",
    "charge.dispute.funds_withdrawn",
    "charge.dispute.funds_reinstated",
    "payment_method.updated",
    "payment_method.detached",
)

# An event that nobody has looked at after this: its task was lost.
_LOST_AFTER = timedelta(seconds=60)
# What came to an end is kept for so long, to be looked up.
_KEPT = timedelta(days=90)
# Waits after the first failure and each that follows: a day and a half in all.
_WAITS_S = (10, 30, 120, 600, 1800, 3600, 7200, 14_400, 28_800, 43_200)


def receive(payload: str) -> StripeEvent | None:
    """Keep an event. None: it is here already. Raises ValueError for what is no event."""
    data = json.loads(payload)
    try:
        event_id, type_ = str(data["id"])[:80], str(data["type"])[:80]
        created_at = datetime.fromtimestamp(int(data["created"]), UTC)
    except (KeyError, TypeError, OverflowError, OSError) as exc:
        raise ValueError("this is no event") from exc
    if "\0" in event_id + type_:
        raise ValueError("no database keeps such a name")
    event, is_new = StripeEvent.objects.get_or_create(
        event_id=event_id,
        defaults={
            "type": type_,
            "payload": payload,
            "created_at": created_at,
            "next_try_at": timezone.now() + _LOST_AFTER,
        },
    )
    return event if is_new else None


def object_of(event: StripeEvent) -> dict[str, Any]:
    """What the event tells of, as it was then."""
    found: dict[str, Any] = json.loads(event.payload)["data"]["object"]
    return found


def due() -> Iterator[int]:
    """Those that were lost, or are to be tried again."""
    rows = StripeEvent.objects.filter(next_try_at__lte=timezone.now()).order_by("id")
    yield from rows.values_list("pk", flat=True)[:500]


def begin(event_pk: int) -> StripeEvent | None:
    """The event, with this attempt counted; None where nothing is left to do."""
    event = StripeEvent.objects.filter(pk=event_pk).first()
    done = (StripeEvent.State.PROCESSED, StripeEvent.State.IGNORED)
    if event is None or event.state in done:
        return None
    StripeEvent.objects.filter(pk=event_pk).update(attempts=F("attempts") + 1)
    event.attempts += 1
    return event


def finish(event: StripeEvent, *, tenant_code: str | None) -> None:
    """Something came of it, or (None) it is not ours."""
    ours = tenant_code is not None
    event.state = StripeEvent.State.PROCESSED if ours else StripeEvent.State.IGNORED
    event.tenant_code = tenant_code or ""
    event.error, event.next_try_at = "", None
    event.processed_at = timezone.now()
    event.save()


def fail(event: StripeEvent, error: Exception | str, *, for_good: bool = False) -> None:
    """It goes on the list of failures, and is tried again later unless that has no hope."""
    event.state = StripeEvent.State.FAILED
    event.error = error if isinstance(error, str) else f"{type(error).__name__}: {error}"
    has_given_up = for_good or event.attempts > len(_WAITS_S)
    wait_s = 0 if has_given_up else _WAITS_S[max(0, event.attempts - 1)]
    event.next_try_at = None if has_given_up else timezone.now() + timedelta(seconds=wait_s)
    event.save()
    if has_given_up:
        logger.error("Stripe event %s (%s) failed: %s", event.event_id, event.type, event.error)


def replay(event: StripeEvent) -> None:
    """Look at it again, as if it had just come."""
    event.state = StripeEvent.State.RECEIVED
    event.attempts, event.error, event.next_try_at = 0, "", timezone.now()
    event.save()


def forget_old() -> int:
    """Delete what was done long ago. Stripe sends and lists no event older than 30 days again."""
    done = (StripeEvent.State.PROCESSED, StripeEvent.State.IGNORED)
    deleted, _ = StripeEvent.objects.filter(
        state__in=done, received_at__lt=timezone.now() - _KEPT
    ).delete()
    return deleted
