"""Buying credit: ordered, paid, credited, once."""

from concurrent.futures import ThreadPoolExecutor
from decimal import Decimal
from typing import Any
from uuid import uuid4

import pytest
from django.db import connection, transaction

from billing.payments import upkeep
from billing.payments.accounts import lock_account
from billing.payments.amounts import AmountError, quote
from billing.payments.checkout import CheckoutError, cancel_top_up
from billing.payments.models import TopUp
from billing.payments.sync import sync_payment, sync_session
from billing.payments.tests.shop import (
    DECLINED,
    THREE_D_SECURE,
    USD,
    Shop,
    account,
    available,
    balances,
    references,
)
from billing.stripe.client import PaymentsNotSetUpError
from billing.stripe.models import OpenPayment
from tenants.audit.models import AuditEvent
from tenants.registry.schemas import tenant_schema


def test_what_was_paid_is_credited_with_its_papers(acme: Any, shop: Shop) -> None:
    top_up = shop.buy(acme, 2500)

    assert top_up.status == TopUp.Status.CREDITED
    assert top_up.card_last4 == "4242"
    assert top_up.receipt_url.startswith(shop.stand_in.url)
    assert top_up.invoice_url.startswith(shop.stand_in.url)
    assert balances(acme)["credit"] == 50 * USD
    assert balances(acme)["stripe"] == -25 * USD
    assert available(acme) == 50 * USD
    assert references(acme, "top_up") == [f"stripe:{top_up.payment_intent_id}"]
    assert not OpenPayment.objects.filter(pk=top_up.pk).exists()


def test_what_is_not_paid_is_not_credited(acme: Any, shop: Shop) -> None:
    top_up = shop.order(acme)

    sync_session(top_up.session_id)

    assert shop.again(acme, top_up).status == TopUp.Status.PENDING
    assert balances(acme)["credit"] == 25 * USD
    assert OpenPayment.objects.filter(pk=top_up.pk).exists()


def test_looking_again_credits_nothing_more(acme: Any, shop: Shop) -> None:
    top_up = shop.buy(acme)

    for _ in range(3):
        sync_session(top_up.session_id)
        sync_payment(top_up.payment_intent_id)

    assert balances(acme)["credit"] == 50 * USD


def test_many_who_look_at_once_credit_once(acme: Any, shop: Shop) -> None:
    top_up = shop.order(acme)
    shop.pay(top_up)

    def look(_: int) -> None:
        try:
            sync_session(top_up.session_id)
        finally:
            connection.close()

    with ThreadPoolExecutor(6) as pool:
        list(pool.map(look, range(12)))

    assert balances(acme)["credit"] == 50 * USD
    assert len(references(acme, "top_up")) == 1
    assert available(acme) == 50 * USD


def test_a_declined_card_leaves_the_page_open_for_another(acme: Any, shop: Shop) -> None:
    top_up = shop.order(acme)
    shop.pay(top_up, DECLINED)
    sync_session(top_up.session_id)

    tried = shop.again(acme, top_up)
    assert (tried.status, tried.failure_code) == (TopUp.Status.PENDING, "card_declined")
    assert balances(acme)["credit"] == 25 * USD

    shop.pay(top_up)
    sync_session(top_up.session_id)
    paid = shop.again(acme, top_up)
    assert (paid.status, paid.failure) == (TopUp.Status.CREDITED, "")
    assert balances(acme)["credit"] == 50 * USD


def test_3d_secure_credits_once_it_is_confirmed(acme: Any, shop: Shop) -> None:
    top_up = shop.order(acme)
    answer = shop.pay(top_up, THREE_D_SECURE)
    sync_session(top_up.session_id)
    assert shop.again(acme, top_up).status == TopUp.Status.PENDING

    shop.authenticate(answer)
    sync_session(top_up.session_id)

    assert shop.again(acme, top_up).status == TopUp.Status.CREDITED
    assert balances(acme)["credit"] == 50 * USD


def test_an_invoice_that_stripe_has_not_made_yet_is_looked_for_later(
    acme: Any, shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    top_up = shop.order(acme)
    shop.pay(top_up)
    with monkeypatch.context() as early:
        early.setattr(TopUp, "note_invoice", lambda *_: None)
        sync_session(top_up.session_id)
    assert shop.again(acme, top_up).lacks_invoice

    upkeep.look_after(top_up.pk)

    assert shop.again(acme, top_up).invoice_url
    assert not OpenPayment.objects.filter(pk=top_up.pk).exists()


def test_a_payment_is_given_up_and_cannot_be_paid_any_more(acme: Any, shop: Shop) -> None:
    top_up = shop.order(acme)

    for _ in range(2):
        ended = cancel_top_up(tenant=acme.tenant, top_up_id=top_up.pk, actor="ada@x.test")

    assert (ended.status, ended.failure) == (TopUp.Status.EXPIRED, "Canceled by ada@x.test.")
    assert shop.pay(top_up).status_code == 410
    assert not OpenPayment.objects.filter(pk=top_up.pk).exists()
    with tenant_schema(acme.code):
        assert AuditEvent.objects.filter(action="credit.order_cancelled").count() == 1


def test_its_reason_stays_when_stripe_is_heard_of_later(acme: Any, shop: Shop) -> None:
    top_up = shop.order(acme)
    shop.pay(top_up, DECLINED)
    sync_session(top_up.session_id)
    cancel_top_up(tenant=acme.tenant, top_up_id=top_up.pk, actor="ada@x.test")

    shop.deliver_all()

    assert shop.again(acme, top_up).failure == "Canceled by ada@x.test."


def test_a_payment_given_up_too_late_is_credited(acme: Any, shop: Shop) -> None:
    top_up = shop.order(acme)
    shop.pay(top_up)

    ended = cancel_top_up(tenant=acme.tenant, top_up_id=top_up.pk, actor="ada@x.test")

    assert (ended.status, ended.failure) == (TopUp.Status.CREDITED, "")
    assert balances(acme)["credit"] == 50 * USD


def test_an_expired_page_is_marked(acme: Any, shop: Shop) -> None:
    top_up = shop.order(acme)
    shop.api.checkout.sessions.expire(top_up.session_id)

    sync_session(top_up.session_id)

    assert shop.again(acme, top_up).status == TopUp.Status.EXPIRED
    assert not OpenPayment.objects.filter(pk=top_up.pk).exists()


def test_fee_and_tax_are_paid_and_not_credited(acme: Any, shop: Shop, settings: Any) -> None:
    settings.TOP_UP_FEE_PERCENT, settings.TOP_UP_TAX_PERCENT = Decimal(4), Decimal(19)
    assert quote(2500).total_cents == 2500 + 100 + 494

    top_up = shop.buy(acme, 2500)

    session = shop.api.checkout.sessions.retrieve(top_up.session_id)
    assert session.amount_total == 3094
    assert top_up.status == TopUp.Status.CREDITED
    assert balances(acme)["credit"] == 50 * USD
    assert balances(acme)["stripe"] == -25 * USD


@pytest.mark.parametrize("cents", [499, 100_001, 0, -1])
def test_amounts_out_of_bounds_are_refused_and_nothing_is_asked_of_stripe(
    acme: Any, shop: Shop, cents: int
) -> None:
    with pytest.raises(AmountError, match=r"from \$5 to \$1,000"):
        shop.order(acme, cents)

    assert shop.control("GET", "calls")["calls"] == []


def test_without_a_key_nothing_can_be_bought(acme: Any, shop: Shop, settings: Any) -> None:
    settings.STRIPE_SECRET_KEY = ""

    with pytest.raises(PaymentsNotSetUpError):
        shop.order(acme)

    with tenant_schema(acme.code):
        assert not TopUp.objects.exists()


def test_while_stripe_is_down_nothing_is_begun_and_the_reader_is_told(
    acme: Any, shop: Shop
) -> None:
    shop.control("POST", "faults", kind="error", count=None, path="/v1/checkout")

    with pytest.raises(CheckoutError, match="Nothing was charged"):
        shop.order(acme)

    with tenant_schema(acme.code):
        assert [each.status for each in TopUp.objects.all()] == [TopUp.Status.FAILED]
    assert not OpenPayment.objects.filter(tenant_code=acme.code).exists()


@pytest.mark.parametrize("when", ["before", "after"])
def test_a_lost_answer_makes_one_session(acme: Any, shop: Shop, when: str) -> None:
    shop.control("POST", "faults", kind="drop", when=when, path="/v1/checkout/sessions")

    top_up = shop.order(acme)

    assert top_up.session_url
    assert len(shop.api.checkout.sessions.list().data) == 1


def test_a_form_sent_twice_begins_one_payment(acme: Any, shop: Shop) -> None:
    form_id = uuid4()

    def send(_: int) -> TopUp:
        try:
            return shop.order(acme, form_id=form_id)
        finally:
            connection.close()

    with ThreadPoolExecutor(4) as pool:
        begun = {each.pk for each in pool.map(send, range(6))}

    assert len(begun) == 1
    assert len(shop.api.checkout.sessions.list().data) == 1


def test_a_form_sent_again_for_something_else_or_after_the_end_begins_anew(
    acme: Any, shop: Shop
) -> None:
    form_id = uuid4()
    first = shop.order(acme, 1000, form_id=form_id)

    other = shop.order(acme, 2000, form_id=form_id)
    shop.pay(other)
    sync_session(other.session_id)
    later = shop.order(acme, 2000, form_id=form_id)

    assert len({first.pk, other.pk, later.pk}) == 3
    assert later.session_url


def test_a_tax_id_that_stripe_refuses_later_is_told_to_who_pays(acme: Any, shop: Shop) -> None:
    with tenant_schema(acme.code), transaction.atomic():
        row = lock_account()
        row.tax_id_type, row.tax_id, row.details_version = "eu_vat", "nonsense", 1
        row.save()

    with pytest.raises(CheckoutError, match="tax id in your billing details"):
        shop.order(acme)
    with pytest.raises(CheckoutError, match="tax id in your billing details"):
        shop.save_card(acme)

    with tenant_schema(acme.code):
        assert [each.status for each in TopUp.objects.all()] == [TopUp.Status.FAILED]


def test_a_customer_deleted_at_stripe_is_made_anew_and_keeps_what_it_paid(
    acme: Any, shop: Shop
) -> None:
    bought = shop.buy(acme, saves_card=True)
    gone = account(acme).customer_id
    shop.api.customers.delete(gone)

    again = shop.buy(acme)
    shop.api.refunds.create({"payment_intent": bought.payment_intent_id, "amount": 1000})
    sync_payment(bought.payment_intent_id)

    assert again.status == TopUp.Status.CREDITED
    assert account(acme).customer_id not in ("", gone)
    assert not account(acme).has_card
    assert balances(acme)["credit"] == 65 * USD


def test_a_card_is_saved_by_a_customer_made_anew(acme: Any, shop: Shop) -> None:
    shop.order(acme)
    shop.api.customers.delete(account(acme).customer_id)

    shop.save_card(acme)

    assert account(acme).has_card


def test_a_card_is_saved_where_that_was_asked(acme: Any, shop: Shop) -> None:
    shop.buy(acme)
    assert not account(acme).has_card

    shop.buy(acme, saves_card=True)

    assert account(acme).card_label == "Visa ending in 4242"


def test_two_workspaces_buy_each_for_itself(acme: Any, globex: Any, shop: Shop) -> None:
    shop.buy(acme, 1000)
    shop.buy(globex, 5000)

    assert balances(acme)["credit"] == 35 * USD
    assert balances(globex)["credit"] == 75 * USD
    assert account(acme).customer_id != account(globex).customer_id
