"""After anything that can happen, in any order: Stripe's sums are the ledger's."""

import random
from typing import Any

import pytest

from billing import invariants
from billing.payments.models import Dispute, Refund
from billing.payments.refunds import RefundError, refund_credit
from billing.payments.sync import sync_session
from billing.payments.tests.shop import (
    DECLINED,
    REFUND_FAILS,
    USD,
    Shop,
    available,
    balances,
)
from billing.stripe.models import OpenPayment, StripeEvent
from tenants.registry.schemas import tenant_schema


def net_at_stripe(shop: Shop) -> int:
    """Charges less refunds and what disputes have withdrawn, in cents: by Stripe's own books."""
    rows = shop.api.balance_transactions.list({"limit": 100}).auto_paging_iter()
    return sum(row.amount for row in rows)


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(6))
def test_stripes_sums_are_the_ledgers(acme: Any, shop: Shop, seed: int) -> None:
    dice = random.Random(seed)
    bought = []
    for _ in range(5):
        top_up = shop.order(acme, dice.choice([500, 1000, 2500, 7300]))
        card = dice.choice(["4242 4242 4242 4242", "4242 4242 4242 4242", REFUND_FAILS, DECLINED])
        shop.pay(top_up, card)
        if card != DECLINED:
            bought.append(top_up)
    told = shop.events()
    some = dice.sample(told, len(told) // 2)
    shop.deliver(*some)
    for top_up in bought:
        if dice.random() < 0.5:
            sync_session(top_up.session_id)
        payment = shop.intent(acme, top_up)
        match dice.randrange(5):
            case 0:
                shop.api.refunds.create({"payment_intent": payment, "amount": 200})
            case 1:
                sync_session(top_up.session_id)
                try:
                    refund_credit(
                        tenant=acme.tenant,
                        top_up_id=top_up.pk,
                        credit_cents=dice.randrange(1, 500),
                        actor="test",
                    )
                except RefundError:
                    pytest.fail("there was enough")
            case 2:
                dispute = shop.control("POST", f"charges/{payment}/dispute")["id"]
                if dice.random() < 0.7:
                    how = dice.choice(["win", "lose"])
                    shop.control("POST", f"disputes/{dispute}/{how}")
            case 3:
                shop.control("POST", f"charges/{payment}/dispute", amount=300)
    told = shop.events() * 2
    dice.shuffle(told)
    shop.deliver(*told)

    sums = balances(acme)
    left = -sums.get("stripe", 0) - sums.get("dispute", 0)
    assert left == net_at_stripe(shop) * 10_000_000
    assert available(acme) == sums["credit"] == 25 * USD + left
    assert list(invariants.check_ledger(acme.tenant)) == []
    assert list(invariants.check_gate(acme.tenant)) == []
    ids = {event.id for event in told}
    failed = StripeEvent.objects.filter(event_id__in=ids, state=StripeEvent.State.FAILED)
    assert not failed.exists()


def test_the_audit_finds_a_top_up_without_its_entry(acme: Any, shop: Shop) -> None:
    top_up = shop.buy(acme)
    with tenant_schema(acme.code):
        top_up.payment_intent_id = "pi_another"
        top_up.save()

    found = "\n".join(invariants.check_ledger(acme.tenant))

    assert "a credited top-up has one entry of its credit" in found
    assert "an entry of a top-up is of a credited one" in found


def test_the_audit_finds_a_refund_without_its_entry(acme: Any, shop: Shop) -> None:
    top_up = shop.buy(acme)
    with tenant_schema(acme.code):
        Refund.objects.create(
            top_up=top_up, status="succeeded", amount_cents=2600, credit_cents=2600
        )

    found = "\n".join(invariants.check_ledger(acme.tenant))

    assert "a refund's entries are what became of it" in found
    assert "no more is paid back" in found
    assert "is what Stripe's account has" in found


def test_the_audit_finds_a_dispute_without_its_entries(acme: Any, shop: Shop) -> None:
    top_up = shop.buy(acme)
    shop.control("POST", f"charges/{top_up.payment_intent_id}/dispute")
    sync_session(top_up.session_id)
    assert list(invariants.check_ledger(acme.tenant)) == []
    with tenant_schema(acme.code):
        Dispute.objects.update(outcome="won")

    found = "\n".join(invariants.check_ledger(acme.tenant))

    assert "a dispute's entries are what became of it" in found


def test_the_audit_finds_what_nobody_looks_after(acme: Any, shop: Shop) -> None:
    top_up = shop.order(acme)
    assert list(invariants.check_ledger(acme.tenant)) == []
    OpenPayment.objects.filter(pk=top_up.pk).delete()

    (found,) = invariants.check_ledger(acme.tenant)

    assert "what has begun and not ended is looked after" in found
