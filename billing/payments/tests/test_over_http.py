"""The running product: webhooks repeated, held back and shuffled on their way, worker and all."""

import time
from collections.abc import Callable, Iterator
from io import StringIO
from typing import Any

import pytest
import requests
from django.core.management import call_command

from billing import invariants
from billing.ledger.models import JournalEntry
from billing.payments.checkout import start_top_up
from billing.payments.models import Dispute, Refund, TopUp
from billing.payments.refunds import refund_credit
from billing.payments.tests.shop import CARD, GOOD, USD, balances
from tenants.registry.schemas import tenant_schema


@pytest.fixture
def stripe(gateway: Any, settings: Any) -> Iterator[Callable[..., Any]]:
    """Orders to the sandbox's Stripe; services called here talk to it too."""
    env = gateway.sandbox.env
    settings.STRIPE_SECRET_KEY = env["STRIPE_SECRET_KEY"]
    settings.STRIPE_API_BASE = env["STRIPE_API_BASE"]

    def order(method: str, path: str, **body: Any) -> Any:
        url = f"{env['STRIPE_API_BASE']}/__sandbox/{path}"
        answer = requests.request(method, url, json=body or None, timeout=5)
        answer.raise_for_status()
        return answer.json()

    yield order
    order("DELETE", "webhooks")


def pay(cast: Any, cents: int) -> TopUp:
    """Paid at Stripe; nobody comes back to our page."""
    top_up = start_top_up(tenant=cast.tenant, credit_cents=cents, actor="test")
    requests.post(
        top_up.session_url,
        data={**CARD, "cardNumber": GOOD},
        allow_redirects=False,
        timeout=5,
    )
    return top_up


def eventually(condition: Callable[[], Any], timeout_s: float = 45) -> None:
    deadline = time.monotonic() + timeout_s
    while not condition():
        assert time.monotonic() < deadline, "did not happen in time"
        time.sleep(0.25)


def test_webhooks_alone_credit_once_though_sent_thrice_and_shuffled(
    gateway: Any, stripe: Callable[..., Any]
) -> None:
    cast = gateway.cast()
    stripe("POST", "webhooks", copies=3, hold=True)
    bought = [pay(cast, cents) for cents in (1000, 2500, 5000)]
    assert balances(cast)["credit"] == 25 * USD

    stripe("POST", "webhooks/release", order="shuffled")
    eventually(lambda: balances(cast)["credit"] == 110 * USD)

    stripe("POST", "webhooks", copies=2, hold=True)
    with tenant_schema(cast.code):
        intents = [TopUp.objects.get(pk=each.pk).payment_intent_id for each in bought]
    lost = stripe("POST", f"charges/{intents[0]}/dispute")["id"]
    won = stripe("POST", f"charges/{intents[1]}/dispute")["id"]
    refund_credit(tenant=cast.tenant, top_up_id=bought[2].pk, credit_cents=2000, actor="test")
    stripe("POST", f"disputes/{lost}/lose")
    stripe("POST", f"disputes/{won}/win")
    stripe("POST", "webhooks/release", order="reversed")

    def is_settled() -> bool:
        with tenant_schema(cast.code):
            outcomes = sorted(Dispute.objects.values_list("outcome", flat=True))
            refunds = list(Refund.objects.values_list("status", flat=True))
        return outcomes == ["lost", "won"] and refunds == [Refund.Status.SUCCEEDED]

    eventually(is_settled)
    sums = balances(cast)
    assert (sums["credit"], sums["stripe"], sums["dispute"]) == (80 * USD, -55 * USD, 0)
    with tenant_schema(cast.code):
        assert JournalEntry.objects.filter(kind="top_up").count() == 3
    assert list(invariants.check_ledger(cast.tenant)) == []
    assert list(invariants.check_gate(cast.tenant)) == []
    out = StringIO()
    call_command("balance", cast.tenant.slug, stdout=out)
    assert "80" in out.getvalue()


def test_an_unsigned_webhook_is_refused_in_plain_words(gateway: Any) -> None:
    answer = requests.post(f"{gateway.url}/webhooks/stripe", json={"id": "evt_1"}, timeout=5)

    assert answer.status_code == 400
    assert "signed" in answer.text
