"""Auto-recharge: one charge for each fall of the balance."""

from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from datetime import timedelta
from decimal import Decimal
from typing import Any
from uuid import uuid4

import pytest
import stripe
from django.core import mail
from django.db import IntegrityError, connection, transaction
from django.utils import timezone

from agentflare.partitions import partition_of
from billing.admission.services import admit, capture
from billing.admission.tests.test_admission import event
from billing.payments import invoices, recharging, upkeep, watch
from billing.payments.accounts import lock_account, remove_card, save_details
from billing.payments.low_balance import change_alert, look_after_balance
from billing.payments.models import BillingAccount, TopUp
from billing.payments.recharge import change_auto_recharge, recharge_if_low
from billing.payments.refunds import refund_credit
from billing.payments.tests.shop import (
    DECLINED_LATER,
    THREE_D_SECURE,
    USD,
    Shop,
    account,
    available,
    balances,
)
from billing.settlement import services as settlement
from billing.settlement.services import settle_partition
from billing.stripe.models import BalanceWatch, OpenPayment, StripeEvent
from tenants.audit.services import Actor
from tenants.registry.schemas import tenant_schema
from tenants.registry.services import suspend_tenant
from tenants.workspaces.closing import close_workspace

States = BillingAccount.AutoState


def turn_on(cast: Any, **changes: Any) -> None:
    settings = {
        "threshold_nusd": 10 * USD,
        "amount_cents": 2000,
        "cap_cents": 10_000,
        "enabled": True,
        **changes,
    }
    change_auto_recharge(tenant=cast.tenant, actor=cast.owner.email, **settings)


def spend(cast: Any, dollars: int) -> None:
    hold = admit(event=event(cast, dollars * USD))
    capture(hold, hold.event.with_(cost_nusd=dollars * USD, status="completed"))


def recharges(cast: Any) -> list[TopUp]:
    with tenant_schema(cast.code):
        return list(TopUp.objects.filter(kind=TopUp.Kind.AUTO).order_by("id"))


def wait_is_over(cast: Any) -> None:
    with tenant_schema(cast.code), transaction.atomic():
        row = lock_account()
        row.auto_next_try_at = timezone.now()
        row.save()


@pytest.fixture
def low(acme: Any, shop: Shop) -> Any:
    """acme has a card, auto-recharge, and $5 left."""
    shop.save_card(acme)
    turn_on(acme)
    spend(acme, 20)
    return acme


def test_a_low_balance_charges_the_card_once(low: Any, shop: Shop) -> None:
    recharge_if_low(low.tenant)
    recharge_if_low(low.tenant)

    (top_up,) = recharges(low)
    assert top_up.status == TopUp.Status.CREDITED
    assert top_up.receipt_url
    assert available(low) == 25 * USD
    assert len(shop.api.payment_intents.list().data) == 1


def test_a_suspended_workspace_is_charged_nothing(low: Any, shop: Shop) -> None:
    suspend_tenant(tenant=low.tenant, reason="fraud", actor="test")

    assert recharge_if_low(low.tenant) is None
    assert recharges(low) == []


def test_enough_is_enough(acme: Any, shop: Shop) -> None:
    shop.save_card(acme)
    turn_on(acme)
    spend(acme, 15)

    assert recharge_if_low(acme.tenant) is None


def test_what_running_calls_hold_counts_as_there(acme: Any, shop: Shop) -> None:
    shop.save_card(acme)
    turn_on(acme)
    running = admit(event=event(acme, 20 * USD))

    assert recharge_if_low(acme.tenant) is None
    capture(running, running.event.with_(cost_nusd=0, status="completed"))


def test_many_workers_charge_once(low: Any, shop: Shop) -> None:
    def look(_: int) -> None:
        try:
            recharge_if_low(low.tenant)
        finally:
            connection.close()

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(look, range(16)))

    assert len(recharges(low)) == 1
    assert len(shop.api.payment_intents.list().data) == 1
    assert balances(low)["stripe"] == -20 * USD


def test_the_database_itself_allows_one_at_a_time(low: Any) -> None:
    with tenant_schema(low.code):
        TopUp.objects.create(kind="auto", credit_cents=1, created_by="test")
        with pytest.raises(IntegrityError), transaction.atomic():
            TopUp.objects.create(kind="auto", credit_cents=1, created_by="test")


def test_each_fall_has_a_charge_of_its_own(low: Any, shop: Shop) -> None:
    recharge_if_low(low.tenant)
    spend(low, 20)
    recharge_if_low(low.tenant)

    assert [each.status for each in recharges(low)] == [TopUp.Status.CREDITED] * 2
    assert available(low) == 25 * USD


def test_the_cap_of_the_month_holds_and_is_told_once(low: Any, shop: Shop) -> None:
    turn_on(low, cap_cents=3000)
    recharge_if_low(low.tenant)
    spend(low, 20)

    recharge_if_low(low.tenant)
    recharge_if_low(low.tenant)

    assert len(recharges(low)) == 1
    assert account(low).auto_state == States.CAPPED
    (letter,) = mail.outbox
    assert "monthly cap" in letter.subject
    with tenant_schema(low.code):
        old = timezone.now() - timedelta(days=40)
        TopUp.objects.update(created_at=old, credited_at=old)
    recharge_if_low(low.tenant)
    assert account(low).auto_state == States.OK
    assert len(recharges(low)) == 2


def test_what_was_begun_before_midnight_and_charged_after_it_counts_in_the_new_month_too(
    low: Any, shop: Shop
) -> None:
    turn_on(low, cap_cents=3000)
    recharge_if_low(low.tenant)
    with tenant_schema(low.code):
        TopUp.objects.update(created_at=timezone.now() - timedelta(days=40))
    spend(low, 20)

    assert recharge_if_low(low.tenant) is None
    assert account(low).auto_state == States.CAPPED


def test_what_was_paid_back_makes_no_room_below_the_cap(low: Any, shop: Shop) -> None:
    turn_on(low, cap_cents=3000)
    top_up = recharge_if_low(low.tenant)
    assert top_up is not None
    refund_credit(tenant=low.tenant, top_up_id=top_up.pk, credit_cents=2000, actor="test")

    assert recharge_if_low(low.tenant) is None
    assert account(low).auto_state == States.CAPPED


def test_a_card_whose_payment_is_contested_is_not_charged_until_that_is_decided(
    acme: Any, shop: Shop
) -> None:
    shop.save_card(acme)
    turn_on(acme)
    bought = shop.buy(acme, 5000)
    dispute = shop.control("POST", f"charges/{bought.payment_intent_id}/dispute")["id"]
    shop.deliver_all()
    spend(acme, 24)

    assert recharge_if_low(acme.tenant) is None
    shop.control("POST", f"disputes/{dispute}/win")
    shop.deliver_all()
    spend(acme, 49)
    assert recharge_if_low(acme.tenant) is not None


def test_after_a_lost_dispute_a_person_must_switch_it_on_again(acme: Any, shop: Shop) -> None:
    shop.save_card(acme)
    turn_on(acme)
    bought = shop.buy(acme, 5000)
    dispute = shop.control("POST", f"charges/{bought.payment_intent_id}/dispute")["id"]
    shop.control("POST", f"disputes/{dispute}/lose")
    shop.deliver_all()
    spend(acme, 24)

    assert recharge_if_low(acme.tenant) is None
    row = account(acme)
    assert (row.auto_enabled, row.auto_state) == (False, States.OFF)
    assert "contested" in row.auto_error
    turn_on(acme)
    assert recharge_if_low(acme.tenant) is not None


def test_failures_are_told_and_tried_rarer_until_it_is_switched_off(acme: Any, shop: Shop) -> None:
    shop.save_card(acme, DECLINED_LATER)
    turn_on(acme)
    spend(acme, 20)
    waits = []
    for _ in range(3):
        recharge_if_low(acme.tenant)
        recharge_if_low(acme.tenant)
        assert account(acme).auto_state == States.FAILING
        next_try_at = account(acme).auto_next_try_at
        assert next_try_at is not None
        waits.append(round((next_try_at - timezone.now()).total_seconds() / 3600))
        wait_is_over(acme)
    recharge_if_low(acme.tenant)

    assert waits == [1, 6, 24]
    off = account(acme)
    assert (off.auto_state, off.auto_enabled) == (States.OFF, False)
    assert [each.status for each in recharges(acme)] == [TopUp.Status.FAILED] * 4
    assert len(mail.outbox) == 4
    assert "could not be charged: Your card was declined" in mail.outbox[0].body
    assert available(acme) == 5 * USD


def test_a_late_event_of_a_failure_counts_no_second_time(acme: Any, shop: Shop) -> None:
    shop.save_card(acme, DECLINED_LATER)
    turn_on(acme)
    spend(acme, 20)
    recharge_if_low(acme.tenant)

    shop.deliver_all()
    shop.deliver_all()

    assert account(acme).auto_failures == 1
    assert len(mail.outbox) == 1


def test_a_success_begins_anew(acme: Any, shop: Shop) -> None:
    shop.save_card(acme, DECLINED_LATER)
    turn_on(acme)
    spend(acme, 20)
    recharge_if_low(acme.tenant)

    shop.buy(acme)

    assert (account(acme).auto_state, account(acme).auto_failures) == (States.OK, 0)


def test_the_cardholder_is_asked_where_the_bank_wants_it(acme: Any, shop: Shop) -> None:
    shop.save_card(acme)
    turn_on(acme)
    spend(acme, 20)
    method = account(acme).payment_method_id
    shop.control("POST", f"payment_methods/{method}/card", number=THREE_D_SECURE)

    recharge_if_low(acme.tenant)
    recharge_if_low(acme.tenant)

    (waiting,) = recharges(acme)
    assert waiting.status == TopUp.Status.NEEDS_ACTION
    assert account(acme).auto_state == States.NEEDS_ACTION
    (letter,) = mail.outbox
    assert f"/t/{acme.tenant.slug}/billing/" in letter.body

    shop.buy(acme, 2000, saves_card=True)
    assert account(acme).auto_state == States.OK
    (replaced,) = recharges(acme)
    assert replaced.status == TopUp.Status.FAILED


@pytest.mark.parametrize("how", ["another card", "switched off", "card removed"])
def test_what_waits_for_the_cardholder_ends_when_it_is_not_wanted_any_more(
    acme: Any, shop: Shop, how: str
) -> None:
    shop.save_card(acme)
    turn_on(acme)
    spend(acme, 20)
    method = account(acme).payment_method_id
    shop.control("POST", f"payment_methods/{method}/card", number=THREE_D_SECURE)
    recharge_if_low(acme.tenant)

    match how:
        case "another card":
            shop.save_card(acme)
        case "switched off":
            turn_on(acme, enabled=False)
        case "card removed":
            remove_card(tenant=acme.tenant, actor="test")

    (waiting,) = recharges(acme)
    assert waiting.status == TopUp.Status.FAILED
    assert account(acme).auto_state == States.OK
    shop.deliver_all()
    assert account(acme).auto_state == States.OK
    recharge_if_low(acme.tenant)
    assert len(recharges(acme)) == (2 if how == "another card" else 1)


@pytest.mark.parametrize("when", ["before", "after"])
@pytest.mark.parametrize("kind", ["error", "drop"])
def test_an_answer_that_got_lost_is_found_and_charged_once(
    low: Any, shop: Shop, when: str, kind: str
) -> None:
    shop.control("POST", "faults", kind=kind, when=when, count=3, method="POST")
    # The package asks again: under the same key, a stored answer comes at last.
    with suppress(stripe.StripeError):
        recharge_if_low(low.tenant)
    (pending,) = recharges(low)
    assert recharge_if_low(low.tenant) is None
    shop.control("DELETE", "faults")

    upkeep.look_after(pending.pk)
    upkeep.look_after(pending.pk)

    assert [each.status for each in recharges(low)] == [TopUp.Status.CREDITED]
    paid = [each for each in shop.api.payment_intents.list().data if each.status == "succeeded"]
    assert len(paid) == 1
    assert available(low) == 25 * USD


@pytest.mark.parametrize("meanwhile", ["off", "card removed", "closed", "suspended", "bought"])
def test_a_charge_that_never_reached_stripe_is_not_made_once_nobody_wants_it(
    low: Any, shop: Shop, meanwhile: str
) -> None:
    shop.control("POST", "faults", kind="drop", count=3, path="/v1/payment_intents")
    with suppress(stripe.StripeError):
        recharge_if_low(low.tenant)
    (pending,) = recharges(low)
    assert pending.status == TopUp.Status.PENDING

    match meanwhile:
        case "off":
            turn_on(low, enabled=False)
        case "card removed":
            remove_card(tenant=low.tenant, actor="test")
        case "closed":
            close_workspace(tenant=low.tenant, actor=Actor(name="test"))
        case "suspended":
            suspend_tenant(tenant=low.tenant, reason="fraud", actor="test")
        case "bought":
            shop.buy(low, 2000)
    upkeep.look_after(pending.pk)

    assert [each.status for each in recharges(low)] == [TopUp.Status.FAILED]
    bought = 1 if meanwhile == "bought" else 0
    assert len(shop.api.payment_intents.list().data) == bought
    assert not OpenPayment.objects.filter(tenant_code=low.code).exists()


def test_a_card_that_is_gone_at_stripe_fails(low: Any, shop: Shop) -> None:
    shop.api.payment_methods.detach(account(low).payment_method_id)

    recharge_if_low(low.tenant)

    (failed,) = recharges(low)
    assert failed.status == TopUp.Status.FAILED
    assert len(mail.outbox) == 1


def test_a_card_that_is_taken_away_ends_it(low: Any, shop: Shop) -> None:
    method = account(low).payment_method_id

    remove_card(tenant=low.tenant, actor="test")

    assert not account(low).has_card
    assert not account(low).auto_enabled
    assert shop.api.payment_methods.retrieve(method).customer is None
    assert recharge_if_low(low.tenant) is None
    assert not BalanceWatch.objects.filter(tenant_code=low.code).exists()


def test_a_card_detached_at_stripe_is_forgotten(low: Any, shop: Shop) -> None:
    shop.api.payment_methods.detach(account(low).payment_method_id)

    # The object of this event has no customer any more.
    shop.deliver(*shop.events("payment_method.detached"))

    assert not account(low).has_card


def test_what_waits_for_the_holder_of_a_card_detached_at_stripe_ends(low: Any, shop: Shop) -> None:
    method = account(low).payment_method_id
    shop.control("POST", f"payment_methods/{method}/card", number=THREE_D_SECURE)
    recharge_if_low(low.tenant)
    assert recharges(low)[0].status == TopUp.Status.NEEDS_ACTION

    shop.api.payment_methods.detach(method)
    shop.deliver(*shop.events("payment_method.detached"))

    assert recharges(low)[0].status == TopUp.Status.FAILED


def test_settlement_notices(acme: Any, shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    told: list[str] = []
    monkeypatch.setattr(settlement.look_after_balance_task, "delay", told.append)
    shop.save_card(acme)
    turn_on(acme)
    watch.forget()
    spend(acme, 10)
    settle_partition(partition=partition_of(acme.code))
    assert acme.code not in told

    spend(acme, 10)
    settle_partition(partition=partition_of(acme.code))
    spend(acme, 1)
    settle_partition(partition=partition_of(acme.code))
    assert told.count(acme.code) == 1


# --- Invoices ---------------------------------------------------------------------


def see_to_invoice(cast: Any) -> None:
    (owed,) = OpenPayment.objects.filter(tenant_code=cast.code)
    assert owed.look_at <= timezone.now()
    upkeep.look_after(owed.pk)


def test_a_recharge_has_an_invoice_that_its_payment_has_paid(
    low: Any, shop: Shop, settings: Any
) -> None:
    settings.TOP_UP_FEE_PERCENT, settings.TOP_UP_TAX_PERCENT = Decimal(4), Decimal(19)
    save_details(tenant=low.tenant, details={"name": "Acme GmbH"}, actor="test")
    recharge_if_low(low.tenant)
    assert recharges(low)[0].lacks_invoice

    see_to_invoice(low)

    (top_up,) = recharges(low)
    assert not top_up.lacks_invoice
    invoice = shop.api.invoices.retrieve(top_up.invoice_id, {"expand": ["payments"]})
    assert (invoice.status, invoice.amount_paid) == ("paid", top_up.total_cents)
    assert [line.amount for line in invoice.lines.data] == [2000, 80, 395]
    assert invoice.customer_name == "Acme GmbH"
    paid = [each for each in invoice.payments.data if each.status == "paid"]
    assert [each.payment.payment_intent for each in paid] == [top_up.payment_intent_id]
    assert top_up.invoice_url == invoice.hosted_invoice_url
    assert not OpenPayment.objects.filter(tenant_code=low.code).exists()
    # The intent that came with the invoice is nobody's payment.
    shop.deliver_all()
    assert not StripeEvent.objects.filter(state="failed", created_at__gte=top_up.created_at)
    assert balances(low)["stripe"] == -20 * USD


@pytest.mark.parametrize("when", ["before", "after"])
@pytest.mark.parametrize("step", ["create", "add_lines", "finalize_invoice", "attach_payment"])
def test_an_invoice_that_broke_off_is_gone_on_with(
    low: Any, shop: Shop, monkeypatch: pytest.MonkeyPatch, step: str, when: str
) -> None:
    top_up = recharge_if_low(low.tenant)
    assert top_up is not None
    real = getattr(stripe.InvoiceService, step)

    def break_off(*args: Any, **kwargs: Any) -> None:
        if when == "after":
            real(*args, **kwargs)
        raise stripe.APIConnectionError("cut")

    with monkeypatch.context() as broken:
        broken.setattr(stripe.InvoiceService, step, break_off)
        with pytest.raises(stripe.APIConnectionError):
            upkeep.look_after(top_up.pk)
    # As after a day: Stripe has forgotten the keys.
    monkeypatch.setattr(invoices, "once", lambda *what: {"idempotency_key": str(uuid4())})

    upkeep.look_after(top_up.pk)

    made = shop.api.invoices.list({"customer": account(low).customer_id}).data
    assert [(each.status, each.total) for each in made] == [("paid", 2000)]
    assert recharges(low)[0].invoice_id == made[0].id


# --- Low balance ------------------------------------------------------------------


def test_a_low_balance_is_told_once_for_each_fall(acme: Any, shop: Shop) -> None:
    change_alert(tenant=acme.tenant, alert_nusd=10 * USD, actor="test")
    look_after_balance(acme.tenant)
    assert mail.outbox == []

    spend(acme, 20)
    for _ in range(3):
        look_after_balance(acme.tenant)
    (letter,) = mail.outbox
    assert "less than $10.00 of credit is left" in letter.subject
    assert BalanceWatch.objects.get(tenant_code=acme.code).is_low

    shop.buy(acme, 2000)
    look_after_balance(acme.tenant)
    spend(acme, 20)
    look_after_balance(acme.tenant)
    assert len(mail.outbox) == 2


def test_many_who_look_tell_once(acme: Any, shop: Shop) -> None:
    change_alert(tenant=acme.tenant, alert_nusd=10 * USD, actor="test")
    spend(acme, 20)

    def look(_: int) -> None:
        try:
            look_after_balance(acme.tenant)
        finally:
            connection.close()

    with ThreadPoolExecutor(6) as pool:
        list(pool.map(look, range(6)))

    assert len(mail.outbox) == 1


def test_waits_are_an_hour_six_and_a_day() -> None:
    assert [wait.total_seconds() / 3600 for wait in recharging.WAITS] == [1, 6, 24]
