"""POST /webhooks/stripe: kept first, answered at once, looked at later."""

import logging

import stripe
from django.conf import settings
from django.http import HttpRequest, HttpResponse
from django.views.decorators.csrf import csrf_exempt
from django.views.decorators.http import require_POST
from kombu.exceptions import OperationalError as BrokerError

from billing.payments.tasks import process_event_task
from billing.stripe import inbox

logger = logging.getLogger(__name__)

# How old a signature may be.
_TOLERANCE_S = 300


@csrf_exempt
@require_POST
def stripe_webhook(request: HttpRequest) -> HttpResponse:
    """200 once the event is kept, also when it was before; 400 for what Stripe did not sign."""
    if not settings.STRIPE_WEBHOOK_SECRET:
        return _answer(503, "STRIPE_WEBHOOK_SECRET is not set.")
    try:
        payload = request.body.decode()
        stripe.WebhookSignature.verify_header(
            payload,
            request.headers.get("Stripe-Signature", ""),
            settings.STRIPE_WEBHOOK_SECRET,
            _TOLERANCE_S,
        )
        event = inbox.receive(payload)
    except (stripe.SignatureVerificationError, ValueError) as exc:
        logger.warning("A webhook was refused: %s", exc)
        return _answer(400, "This is no event that Stripe has signed.")
    if event is not None:
        try:
            process_event_task.delay(event.pk)
        except BrokerError as exc:
            # It is kept: the next look at what is due finds it.
            logger.warning("Event %s waits for the broker: %s", event.event_id, exc)
    return _answer(200, "Kept.")


def _answer(status: int, text: str) -> HttpResponse:
    return HttpResponse(text, status=status, content_type="text/plain; charset=utf-8")
