"""A disputed payment takes its credit; the bank's decision gives it back or keeps it."""

from datetime import timedelta
from itertools import permutations
from typing import Any

import pytest
from django.core import mail
from django.utils import timezone

from billing import invariants
from billing.admission.services import admit, capture
from billing.admission.tests.test_admission import event
from billing.business.health import findings
from billing.payments import booking
from billing.payments.models import Dispute
from billing.payments.refunds import RefundError, refund_credit
from billing.payments.sync import sync_payment
from billing.payments.tests.shop import USD, Shop, available, balances, references
from billing.stripe.models import KnownDispute
from tenants.registry.schemas import tenant_schema
from tenants.users.tests.builders import operator_browser, staff_browser


def dispute(shop: Shop, payment: str, **options: Any) -> str:
    return str(shop.control("POST", f"charges/{payment}/dispute", **options)["id"])


def end(shop: Shop, dispute_id: str, how: str) -> None:
    shop.control("POST", f"disputes/{dispute_id}/{how}")


def the_dispute(cast: Any) -> Dispute:
    with tenant_schema(cast.code):
        return Dispute.objects.get()


def test_opened_takes_the_credit_and_tells(acme: Any, shop: Shop) -> None:
    top_up = shop.buy(acme)
    told = dispute(shop, top_up.payment_intent_id)

    shop.deliver_all()

    assert references(acme, "dispute") == [f"stripe:{told}:opened"]
    assert balances(acme)["credit"] == available(acme) == 25 * USD
    assert balances(acme)["dispute"] == 25 * USD
    (letter,) = mail.outbox
    assert letter.to == [acme.owner.email]
    assert "is disputed" in letter.subject


def test_spent_credit_is_taken_too_and_calls_stop(acme: Any, shop: Shop) -> None:
    from agentflare.errors import InsufficientCreditError

    top_up = shop.buy(acme)
    hold = admit(event=event(acme, 45 * USD))
    capture(hold, hold.event.with_(cost_nusd=45 * USD, status="completed"))

    dispute(shop, top_up.payment_intent_id)
    shop.deliver_all()

    assert available(acme) == -20 * USD
    with pytest.raises(InsufficientCreditError):
        admit(event=event(acme, 1))


@pytest.mark.parametrize(
    ("how", "credit", "stripe", "disputed"), [("win", 50, -25, 0), ("lose", 25, 0, 0)]
)
def test_the_decision_gives_back_or_keeps(
    acme: Any, shop: Shop, how: str, credit: int, stripe: int, disputed: int
) -> None:
    top_up = shop.buy(acme)
    told = dispute(shop, top_up.payment_intent_id)
    shop.deliver_all()
    end(shop, told, how)
    shop.deliver_all()

    sums = balances(acme)
    assert (sums["credit"], sums["stripe"], sums["dispute"]) == (
        credit * USD,
        stripe * USD,
        disputed * USD,
    )
    assert available(acme) == credit * USD
    assert len(mail.outbox) == 2


@pytest.mark.parametrize("how", ["win", "lose"])
def test_events_in_any_order_come_to_the_same(acme: Any, shop: Shop, how: str) -> None:
    top_up = shop.buy(acme)
    told = dispute(shop, top_up.payment_intent_id)
    opened = shop.events("charge.dispute.created")
    end(shop, told, how)
    closed = shop.events("charge.dispute.closed")

    for order in permutations([*opened, *closed, *shop.events("charge.dispute.funds_withdrawn")]):
        shop.deliver(*order)

    word = {"win": "won", "lose": "lost"}[how]
    assert references(acme, "dispute") == [f"stripe:{told}:opened", f"stripe:{told}:{word}"]
    assert the_dispute(acme).outcome == word
    assert balances(acme)["credit"] == (50 if how == "win" else 25) * USD


def test_only_the_end_is_heard_of(acme: Any, shop: Shop) -> None:
    top_up = shop.buy(acme)
    end(shop, dispute(shop, top_up.payment_intent_id), "lose")

    shop.deliver(*shop.events("charge.dispute.closed"))

    assert balances(acme)["credit"] == 25 * USD
    assert balances(acme)["stripe"] == 0


@pytest.mark.parametrize(("first", "then", "credit"), [("lose", "won", 50), ("win", "lost", 25)])
def test_a_bank_that_changes_its_mind_moves_the_credit_once_more(
    acme: Any, shop: Shop, monkeypatch: pytest.MonkeyPatch, first: str, then: str, credit: int
) -> None:
    top_up = shop.buy(acme)
    end(shop, dispute(shop, top_up.payment_intent_id), first)
    shop.deliver_all()

    monkeypatch.setattr(booking, "outcome_of", lambda _: then)
    for _ in range(2):
        sync_payment(top_up.payment_intent_id)

    sums = balances(acme)
    assert (sums["credit"], sums["stripe"], sums["dispute"]) == (
        credit * USD,
        (25 - credit) * USD,
        0,
    )
    assert available(acme) == credit * USD
    assert list(invariants.check_ledger(acme.tenant)) == []


def test_a_part_that_was_paid_back_is_not_taken_twice(acme: Any, shop: Shop) -> None:
    top_up = shop.buy(acme)
    refund_credit(tenant=acme.tenant, top_up_id=top_up.pk, credit_cents=1000, actor="test")
    dispute(shop, top_up.payment_intent_id)

    shop.deliver_all()

    assert the_dispute(acme).credit_cents == 1500
    assert balances(acme)["credit"] == 25 * USD


def test_what_was_paid_back_already_takes_no_more_credit(acme: Any, shop: Shop) -> None:
    top_up = shop.buy(acme)
    refund_credit(
        tenant=acme.tenant, top_up_id=top_up.pk, credit_cents=2500, actor=acme.owner.email
    )

    end(shop, dispute(shop, top_up.payment_intent_id, amount=2500), "lose")
    shop.deliver_all()

    assert the_dispute(acme).outcome == Dispute.Outcome.LOST
    assert balances(acme)["credit"] == available(acme) == 25 * USD
    assert list(invariants.check_ledger(acme.tenant)) == []


def test_a_disputed_payment_is_not_paid_back(acme: Any, shop: Shop) -> None:
    top_up = shop.buy(acme)
    dispute(shop, top_up.payment_intent_id)
    sync_payment(top_up.payment_intent_id)

    with pytest.raises(RefundError, match="disputed"):
        refund_credit(tenant=acme.tenant, top_up_id=top_up.pk, credit_cents=1, actor="test")


def test_operators_see_it_with_its_deadline_in_the_list_of_all_tenants(
    acme: Any, shop: Shop
) -> None:
    top_up = shop.buy(acme)
    told = dispute(shop, top_up.payment_intent_id)
    shop.deliver_all()

    known = KnownDispute.objects.get(pk=told)
    assert (known.tenant_code, known.is_open, known.credit_cents) == (acme.code, True, 2500)
    assert known.answer_by is not None
    client = operator_browser()
    page = client.get("/admin/disputes/").content.decode()
    assert told in page
    assert f"{known.answer_by:%Y-%m-%d %H:%M}" in page
    (finding,) = [each for each in findings() if each.title == "Disputes"]
    assert "open" in finding.value
    KnownDispute.objects.filter(pk=told).update(answer_by=timezone.now() + timedelta(days=1))
    (finding,) = [each for each in findings() if each.title == "Disputes"]
    assert "to be answered within 3 days" in finding.value
    assert not finding.is_well

    end(shop, told, "win")
    shop.deliver_all()
    known.refresh_from_db()
    assert (known.outcome, known.is_open) == ("won", False)
    assert staff_browser("view_tenant").get("/admin/disputes/").status_code == 403
