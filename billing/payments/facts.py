"""What Stripe has of a payment at this moment: fetched whole, judged later."""

from dataclasses import dataclass, field
from typing import Any

import stripe

from billing.payments.models import TopUp
from billing.stripe.client import client

# A charge that succeeded may be refunded in so many parts at most that matter.
_PAGE = 100


@dataclass(frozen=True, slots=True)
class Facts:
    """Of one PaymentIntent. `charge` is its latest, `invoice` its session's, `card` the one to
    be saved."""

    intent: Any
    charge: Any = None
    invoice: Any = None
    card: Any = None
    refunds: list[Any] = field(default_factory=list)
    disputes: list[Any] = field(default_factory=list)

    @property
    def is_paid(self) -> bool:
        return bool(self.intent.status == "succeeded")


def note_in(told: Any, name: str) -> str:
    """What we have written into an object's metadata; nothing where we have not."""
    metadata = told.metadata
    return str(metadata[name]) if metadata and name in metadata else ""


def intent_of(payment_intent_id: str) -> Any:
    return client().payment_intents.retrieve(payment_intent_id, {"expand": ["latest_charge"]})


def facts_of(payment_intent_id: str, top_up: TopUp, *, knows_refunds: bool) -> Facts:
    """Raises Stripe's errors. knows_refunds: some were seen, which may have changed."""
    api = client()
    intent = intent_of(payment_intent_id)
    charge = intent.latest_charge
    invoice = None
    if top_up.session_id and intent.status == "succeeded" and not top_up.invoice_url:
        session = api.checkout.sessions.retrieve(top_up.session_id, {"expand": ["invoice"]})
        invoice = session.invoice
    card = None
    if top_up.saves_card and intent.status == "succeeded" and intent.payment_method:
        card = card_of(intent.payment_method)
    refunds, disputes = [], []
    if charge and (charge.amount_refunded or knows_refunds):
        found = api.refunds.list({"payment_intent": intent.id, "limit": _PAGE})
        refunds = list(found.auto_paging_iter())
    if charge and charge.disputed:
        found = api.disputes.list({"payment_intent": intent.id, "limit": _PAGE})
        disputes = list(found.auto_paging_iter())
    # Oldest first: so they are booked.
    return Facts(intent, charge, invoice, card, refunds[::-1], disputes[::-1])


def card_of(method_id: str) -> Any:
    """The card as Stripe has saved it; None when it has not."""
    try:
        return client().payment_methods.retrieve(method_id)
    except stripe.InvalidRequestError:
        return None
