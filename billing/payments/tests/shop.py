"""Stripe's stand-in and a buyer, for tests of payments."""

import json
import time
from dataclasses import dataclass
from typing import Any

import requests
import stripe
from django.conf import settings
from django.test import Client

from billing.admission import gate
from billing.admission.selectors import running_holds
from billing.ledger.models import JournalEntry, LedgerAccount
from billing.payments import events
from billing.payments.accounts import billing_account
from billing.payments.checkout import start_card_setup, start_top_up
from billing.payments.models import TopUp
from billing.payments.sync import sync_session
from billing.stripe.models import StripeEvent
from tenants.registry.schemas import tenant_schema

USD = 1_000_000_000
GOOD = "4242 4242 4242 4242"
DECLINED = "4000 0000 0000 0002"
DECLINED_LATER = "4000 0000 0000 0341"
THREE_D_SECURE = "4000 0027 6000 3184"
REFUND_FAILS = "4000 0000 0000 5126"
CARD = {
    "cardExpiry": "12/40",
    "cardCvc": "123",
    "billingName": "Ada Buyer",
    "email": "ada@example.com",
}


@dataclass
class Shop:
    """The stand-in as tests use it. `api`: the real package's client."""

    stand_in: Any

    @property
    def api(self) -> Any:
        return self.stand_in.client.v1

    def order(self, cast: Any, cents: int = 2500, **options: Any) -> TopUp:
        return start_top_up(
            tenant=cast.tenant, credit_cents=cents, actor=cast.owner.email, **options
        )

    def pay(self, top_up: TopUp, card: str = GOOD) -> requests.Response:
        """Press Pay on Stripe's page."""
        return requests.post(
            top_up.session_url,
            data={**CARD, "cardNumber": card},
            allow_redirects=False,
            timeout=5,
        )

    def authenticate(self, answer: requests.Response, *, succeeds: bool = True) -> None:
        """Answer 3-D Secure, to which `answer` leads."""
        page = answer.headers["Location"]
        requests.post(
            page,
            data={"answer": "complete" if succeeds else "fail"},
            allow_redirects=False,
            timeout=5,
        )

    def buy(self, cast: Any, cents: int = 2500, **options: Any) -> TopUp:
        """Ordered, paid, credited."""
        top_up = self.order(cast, cents, **options)
        self.pay(top_up)
        sync_session(top_up.session_id)
        return self.again(cast, top_up)

    def save_card(self, cast: Any, card: str = GOOD) -> None:
        url = start_card_setup(tenant=cast.tenant, actor=cast.owner.email)
        requests.post(url, data={**CARD, "cardNumber": card}, allow_redirects=False, timeout=5)
        sync_session(url.rpartition("/")[2])

    def again(self, cast: Any, top_up: TopUp) -> TopUp:
        """As it is now."""
        with tenant_schema(cast.code):
            return TopUp.objects.get(pk=top_up.pk)

    def intent(self, cast: Any, top_up: TopUp) -> str:
        session = self.api.checkout.sessions.retrieve(top_up.session_id)
        return str(session.payment_intent)

    def control(self, method: str, path: str, /, **order: Any) -> Any:
        return self.stand_in.control(method, path, **order)

    # --- Webhooks ---------------------------------------------------------------

    def events(self, *types: str) -> list[Any]:
        """All that happened at Stripe, the oldest first."""
        found = list(self.api.events.list({"limit": 100}).auto_paging_iter())[::-1]
        return [each for each in found if not types or each.type in types]

    def send(self, event: Any, *, at_s: int | None = None, secret: str = "") -> Any:
        payload = event if isinstance(event, str) else str(event)
        header = stripe.WebhookSignature.generate_signature_header(
            payload, secret or settings.STRIPE_WEBHOOK_SECRET, at_s or int(time.time())
        )
        return Client().post(
            "/webhooks/stripe",
            payload,
            content_type="application/json",
            headers={"Stripe-Signature": header},
        )

    def deliver(self, *told: Any) -> None:
        """Send, and let the worker look at each."""
        for event in told:
            assert self.send(event).status_code == 200
            process(event.id)

    def deliver_all(self) -> None:
        self.deliver(*self.events())


def process(event_id: str) -> StripeEvent:
    event = StripeEvent.objects.get(event_id=event_id)
    events.process_event(event.pk)
    event.refresh_from_db()
    return event


def balances(cast: Any) -> dict[str, int]:
    with tenant_schema(cast.code):
        return dict(LedgerAccount.objects.values_list("code", "balance_nusd"))


def references(cast: Any, *kinds: str) -> list[str]:
    with tenant_schema(cast.code):
        rows = JournalEntry.objects.filter(kind__in=kinds).order_by("id")
        return list(rows.values_list("reference", flat=True))


def account(cast: Any) -> Any:
    with tenant_schema(cast.code):
        return billing_account()


def available(cast: Any) -> int:
    known = gate.read(cast.code)
    assert known is not None
    return known.available


def holds(cast: Any) -> list[Any]:
    return running_holds(cast.code)


def event_text(**fields: Any) -> str:
    made = {
        "id": "evt_1",
        "object": "event",
        "type": "payment_intent.succeeded",
        "created": int(time.time()),
        "data": {"object": {"id": "pi_of_nobody", "object": "payment_intent"}},
        **fields,
    }
    return json.dumps(made)
