"""Unused credit goes back to the card, and cannot be spent meanwhile."""

from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from decimal import Decimal
from typing import Any
from uuid import uuid4

import pytest
from django.db import connection
from django.test import Client
from django.utils import timezone

from agentflare.errors import GatewayError
from billing.admission import gate, reserves
from billing.admission.services import admit, capture
from billing.admission.tests.test_admission import event
from billing.ledger.services import sync_gate
from billing.payments import refunds, upkeep
from billing.payments.models import Refund, TopUp
from billing.payments.refunds import RefundError, refund_credit, refundable_cents
from billing.payments.sync import sync_payment
from billing.payments.tests.shop import (
    REFUND_FAILS,
    USD,
    Shop,
    available,
    balances,
    holds,
    references,
)
from billing.stripe.models import OpenPayment
from tenants.operators.models import OperatorAction
from tenants.registry.schemas import tenant_schema
from tenants.registry.services import suspend_tenant
from tenants.users.tests.builders import operator_browser, staff_browser


def refund(cast: Any, top_up: TopUp, cents: int) -> Refund:
    return refund_credit(
        tenant=cast.tenant, top_up_id=top_up.pk, credit_cents=cents, actor=cast.owner.email
    )


def again(cast: Any, it: Refund) -> Refund:
    with tenant_schema(cast.code):
        return Refund.objects.get(pk=it.pk)


def all_refunds(cast: Any) -> list[str]:
    with tenant_schema(cast.code):
        return list(Refund.objects.values_list("status", flat=True))


def spend(cast: Any, cost_nusd: int) -> None:
    hold = admit(event=event(cast, cost_nusd))
    capture(hold, hold.event.with_(cost_nusd=cost_nusd, status="completed"))


def test_a_part_is_paid_back(acme: Any, shop: Shop) -> None:
    top_up = shop.buy(acme)

    done = refund(acme, top_up, 1000)

    assert done.status == Refund.Status.SUCCEEDED
    assert shop.api.refunds.retrieve(done.stripe_id).amount == 1000
    assert balances(acme)["credit"] == 40 * USD
    assert balances(acme)["stripe"] == -15 * USD
    assert available(acme) == 40 * USD
    assert holds(acme) == []
    assert not OpenPayment.objects.filter(tenant_code=acme.code).exists()


def test_never_more_than_the_payment(acme: Any, shop: Shop) -> None:
    top_up = shop.buy(acme)
    refund(acme, top_up, 1000)

    with pytest.raises(RefundError, match=r"up to \$15"):
        refund(acme, top_up, 1501)
    refund(acme, top_up, 1500)
    with pytest.raises(RefundError, match="refunded already"):
        refund(acme, top_up, 1)

    # What was given to acme is not for sale.
    assert balances(acme)["credit"] == 25 * USD


@pytest.mark.parametrize("cents", [0, -1])
def test_nothing_is_no_refund(acme: Any, shop: Shop, cents: int) -> None:
    with pytest.raises(RefundError):
        refund(acme, shop.buy(acme), cents)


def test_what_was_spent_or_is_held_is_not_paid_back(acme: Any, shop: Shop) -> None:
    top_up = shop.buy(acme)
    spend(acme, 30 * USD)
    running = admit(event=event(acme, 5 * USD))

    with tenant_schema(acme.code):
        assert refundable_cents(top_up, available_nusd=available(acme)) == 1500
    with pytest.raises(RefundError, match=r"Only \$15 of credit is available"):
        refund(acme, top_up, 1501)

    assert all_refunds(acme) == [Refund.Status.REFUSED]
    assert shop.api.refunds.list({"payment_intent": top_up.payment_intent_id}).data == []
    assert available(acme) == 15 * USD
    refund(acme, top_up, 1500)
    assert available(acme) == 0
    capture(running, running.event.with_(cost_nusd=0, status="completed"))


def test_after_sixty_days_nothing_is_paid_back(acme: Any, shop: Shop) -> None:
    top_up = shop.buy(acme)
    with tenant_schema(acme.code):
        old = timezone.now() - timedelta(days=61)
        TopUp.objects.filter(pk=top_up.pk).update(credited_at=old)

    with pytest.raises(RefundError, match="more than 60 days old"):
        refund(acme, top_up, 100)


def test_a_suspended_workspace_gets_nothing_back(acme: Any, shop: Shop) -> None:
    top_up = shop.buy(acme)
    suspend_tenant(tenant=acme.tenant, reason="fraud", actor="test")

    with pytest.raises(RefundError, match="suspended"):
        refund(acme, top_up, 100)


def test_the_tax_on_the_credit_comes_back_and_the_fee_does_not(
    acme: Any, shop: Shop, settings: Any
) -> None:
    settings.TOP_UP_FEE_PERCENT, settings.TOP_UP_TAX_PERCENT = Decimal(4), Decimal(19)
    top_up = shop.buy(acme, 2500)

    done = refund(acme, top_up, 2500)

    assert (done.credit_cents, done.amount_cents) == (2500, 2500 + 475)
    assert balances(acme)["stripe"] == 0


def test_refunds_at_once_take_no_more_than_there_is(acme: Any, shop: Shop) -> None:
    top_up = shop.buy(acme)
    spend(acme, 30 * USD)  # 20 left

    def try_it(_: int) -> bool:
        try:
            refund(acme, top_up, 900)
        except RefundError:
            return False
        finally:
            connection.close()
        return True

    with ThreadPoolExecutor(6) as pool:
        done = sum(pool.map(try_it, range(6)))

    assert done == 2
    told = shop.api.refunds.list({"payment_intent": top_up.payment_intent_id}).data
    assert sum(each.amount for each in told) == 1800
    assert available(acme) == 2 * USD
    assert holds(acme) == []


def test_a_refund_races_with_calls_and_nothing_is_spent_twice(acme: Any, shop: Shop) -> None:
    top_up = shop.buy(acme)  # 50 now

    def call(_: int) -> int:
        try:
            hold = admit(event=event(acme, 4 * USD))
        except GatewayError:
            return 0
        finally:
            connection.close()
        capture(hold, hold.event.with_(cost_nusd=4 * USD, status="completed"))
        return 4

    def pay_back(_: int) -> int:
        try:
            refund(acme, top_up, 500)
        except RefundError:
            return 0
        finally:
            connection.close()
        return 5

    with ThreadPoolExecutor(8) as pool:
        calls = [pool.submit(call, n) for n in range(20)]
        backs = [pool.submit(pay_back, n) for n in range(5)]
        gone = sum(each.result() for each in [*calls, *backs])

    assert available(acme) == (50 - gone) * USD
    assert available(acme) >= 0


def test_stripes_refusal_gives_the_credit_back(acme: Any, shop: Shop) -> None:
    top_up = shop.buy(acme)
    # Whoever runs us has paid it back in Stripe's dashboard, and the webhook is late.
    shop.api.refunds.create({"payment_intent": top_up.payment_intent_id})

    failed = refund(acme, top_up, 1000)

    assert failed.status == Refund.Status.FAILED
    assert "already been refunded" in failed.failure
    assert balances(acme)["credit"] == 50 * USD
    assert available(acme) == 50 * USD
    sync_payment(top_up.payment_intent_id)
    assert balances(acme)["credit"] == 25 * USD


@pytest.mark.parametrize("when", ["before", "after"])
def test_while_stripe_is_silent_the_credit_stays_taken_and_it_goes_on_later(
    acme: Any, shop: Shop, when: str
) -> None:
    top_up = shop.buy(acme)
    shop.control("POST", "faults", kind="error", when=when, count=None, path="/v1/refunds")

    waiting = refund(acme, top_up, 1000)

    assert waiting.status == Refund.Status.TAKEN
    assert available(acme) == 40 * USD
    shop.control("DELETE", "faults")
    upkeep.look_after(waiting.pk)
    assert again(acme, waiting).status == Refund.Status.SUCCEEDED
    told = shop.api.refunds.list({"payment_intent": top_up.payment_intent_id}).data
    assert [each.amount for each in told] == [1000]
    assert not OpenPayment.objects.filter(tenant_code=acme.code).exists()


def test_a_process_that_died_before_the_ledger_has_taken_nothing(
    acme: Any, shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    top_up = shop.buy(acme)

    def die(*_: Any) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(refunds, "book", die)
    monkeypatch.setattr(reserves, "release", lambda **_: None)
    with pytest.raises(KeyboardInterrupt):
        refund(acme, top_up, 1000)
    monkeypatch.undo()
    # Nothing can spend it, until somebody looks.
    assert available(acme) == 40 * USD

    with tenant_schema(acme.code):
        (left,) = Refund.objects.all()
    upkeep.look_after(left.pk)

    assert again(acme, left).status == Refund.Status.REFUSED
    assert available(acme) == balances(acme)["credit"] == 50 * USD


def test_a_process_that_died_after_the_ledger_is_followed_up(
    acme: Any, shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    top_up = shop.buy(acme)

    def die(*_: Any, **__: Any) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(refunds, "sync_gate", die)
    with pytest.raises(KeyboardInterrupt):
        refund(acme, top_up, 1000)
    monkeypatch.undo()
    assert available(acme) == 40 * USD  # held

    with tenant_schema(acme.code):
        (left,) = Refund.objects.all()
    upkeep.look_after(left.pk)

    assert again(acme, left).status == Refund.Status.SUCCEEDED
    reserves.release(tenant_code=acme.code, reserve_id=left.pk)
    assert available(acme) == balances(acme)["credit"] == 40 * USD


def test_a_slow_process_does_not_book_what_was_voided(acme: Any, shop: Shop) -> None:
    top_up = shop.buy(acme)
    with tenant_schema(acme.code):
        waiting, _ = refunds._request(acme.tenant, top_up.pk, 1000, "test")
        upkeep.look_after(waiting.pk)
        with pytest.raises(RefundError):
            refunds._take(acme.tenant, waiting)

    assert balances(acme)["credit"] == 50 * USD
    sync_gate(acme.code)
    assert available(acme) == 50 * USD


def test_a_reserve_that_nobody_ends_ends_by_itself_and_costs_nothing(
    acme: Any, shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    top_up = shop.buy(acme)
    monkeypatch.setattr(reserves, "_TTL_S", 0)
    reserves.reserve(tenant_code=acme.code, reserve_id=top_up.pk, amount_nusd=USD, purpose="refund")
    (hold,) = holds(acme)

    from agentflare.partitions import partition_of

    gate.expire(partition=partition_of(acme.code), request_id=hold.request_id)

    assert holds(acme) == []
    assert available(acme) == 50 * USD
    books = gate.read(acme.code)
    assert books is not None
    assert (books.held, books.unsettled) == (0, 0)


def test_a_refund_that_the_bank_sends_back_is_credited_again(acme: Any, shop: Shop) -> None:
    top_up = shop.order(acme)
    shop.pay(top_up, REFUND_FAILS)
    shop.deliver_all()
    top_up = shop.again(acme, top_up)

    done = refund(acme, top_up, 1000)
    shop.deliver_all()

    assert again(acme, done).status == Refund.Status.FAILED
    assert balances(acme)["credit"] == 50 * USD
    assert references(acme, "refund") == [done.reference, f"{done.reference}:failed"]
    shop.deliver(*shop.events("refund.created", "refund.updated", "refund.failed"))
    assert balances(acme)["credit"] == 50 * USD


def test_a_refund_in_stripes_dashboard_takes_credit_even_if_it_was_spent(
    acme: Any, shop: Shop
) -> None:
    top_up = shop.buy(acme)
    spend(acme, 45 * USD)

    told = shop.api.refunds.create({"payment_intent": top_up.payment_intent_id, "amount": 2000})
    shop.deliver_all()
    shop.deliver_all()

    assert references(acme, "refund") == [f"stripe:{told.id}"]
    assert available(acme) == -15 * USD


def test_another_tenants_payment_is_not_paid_back(acme: Any, globex: Any, shop: Shop) -> None:
    theirs = shop.buy(globex)

    with pytest.raises(TopUp.DoesNotExist):
        refund(acme, theirs, 100)


# --- by an operator -----------------------------------------------------------------


def ask_as_operator(client: Client, cast: Any, top_up: TopUp, **form: str) -> str:
    path = f"/admin/tenants/{cast.code}/refund/{top_up.pk}/"
    asked = {"form_id": str(uuid4()), "amount": "10", "reason": "A mistake of ours", **form}
    return str(client.post(path, asked, follow=True).content.decode())


def test_an_operator_refunds_once_with_a_reason_however_often_the_form_comes(
    acme: Any, shop: Shop
) -> None:
    top_up, client, form_id = shop.buy(acme), operator_browser(), str(uuid4())
    page = client.get(f"/admin/tenants/{acme.code}/").content.decode()
    assert "Refund of the payment of" in page

    first = ask_as_operator(client, acme, top_up, form_id=form_id)
    again = ask_as_operator(client, acme, top_up, form_id=form_id)

    assert "$10 are on their way to the card" in first
    assert "asked for already" in again
    assert len(all_refunds(acme)) == 1
    assert available(acme) == 40 * USD
    (action,) = OperatorAction.objects.filter(action="refund.requested", tenant_code=acme.code)
    assert (action.reason, action.detail["credit_cents"]) == ("A mistake of ours", 1000)


@pytest.mark.parametrize(
    ("form", "told"),
    [
        ({"amount": "26"}, "Choose an amount up to $25"),
        ({"amount": "0"}, "Choose an amount"),
        ({"amount": "-1"}, "Amount:"),
        ({"amount": "NaN"}, "Amount:"),
        ({"amount": "0.001"}, "Amount:"),
        ({"reason": " "}, "Say why"),
        ({"form_id": "x"}, "Form id"),
    ],
)
def test_what_an_operator_cannot_refund_is_said_and_nothing_is_taken(
    acme: Any, shop: Shop, form: dict[str, str], told: str
) -> None:
    top_up = shop.buy(acme)
    assert told in ask_as_operator(operator_browser(), acme, top_up, **form)
    assert available(acme) == 50 * USD
    asked = OperatorAction.objects.filter(tenant_code=acme.code).order_by("id")
    assert [action.action for action in asked] in ([], ["refund.requested", "refund.refused"])


def test_an_operator_refunds_old_payments_of_suspended_workspaces_too(
    acme: Any, shop: Shop
) -> None:
    top_up = shop.buy(acme)
    with tenant_schema(acme.code):
        TopUp.objects.filter(pk=top_up.pk).update(credited_at=timezone.now() - timedelta(days=300))
    suspend_tenant(tenant=acme.tenant, reason="fraud", actor="test")
    assert "on their way" in ask_as_operator(operator_browser(), acme, top_up)


def test_above_the_limit_a_second_operator_sends_the_same_amount(
    acme: Any, shop: Shop, settings: Any
) -> None:
    settings.CREDIT_ALONE_NUSD = 5 * USD
    top_up, ann, bob = shop.buy(acme), operator_browser(), operator_browser()
    for _ in range(2):  # alone, however often
        assert "takes two operators" in ask_as_operator(ann, acme, top_up, form_id=str(uuid4()))
    assert all_refunds(acme) == []
    assert available(acme) == 50 * USD
    page = bob.get(f"/admin/tenants/{acme.code}/").content.decode()
    assert "Waits for a second operator" in page
    assert "$10" in page

    other = ask_as_operator(bob, acme, top_up, form_id=str(uuid4()), amount="11")
    assert "takes two operators" in other
    done = ask_as_operator(bob, acme, top_up, form_id=str(uuid4()))

    assert "on their way" in done
    assert available(acme) == 40 * USD
    (action,) = OperatorAction.objects.filter(action="refund.requested", tenant_code=acme.code)
    proposal = OperatorAction.objects.get(pk=action.detail["proposal"])
    assert proposal.actor == action.detail["proposed_by"] != action.actor
    # Up to the limit one is enough.
    assert "on their way" in ask_as_operator(ann, acme, top_up, form_id=str(uuid4()), amount="5")


def test_a_proposal_serves_once_whoever_agrees_at_once(
    acme: Any, shop: Shop, settings: Any
) -> None:
    settings.CREDIT_ALONE_NUSD = 5 * USD
    top_up = shop.buy(acme)
    ask_as_operator(operator_browser(), acme, top_up, form_id=str(uuid4()))
    others = [operator_browser() for _ in range(4)]

    def agree(client: Client) -> str:
        try:
            return ask_as_operator(client, acme, top_up, form_id=str(uuid4()))
        finally:
            connection.close()

    with ThreadPoolExecutor(4) as pool:
        told = list(pool.map(agree, others))

    # What the later ones sent are proposals of their own, and the first of them may serve the next.
    assert 1 <= sum("on their way" in each for each in told) <= 2
    requested = OperatorAction.objects.filter(action="refund.requested", tenant_code=acme.code)
    used = [each.detail["proposal"] for each in requested]
    assert len(used) == len(set(used)) == len(all_refunds(acme))


def test_a_proposal_of_yesterday_is_none(acme: Any, shop: Shop, settings: Any) -> None:
    settings.CREDIT_ALONE_NUSD = 5 * USD
    top_up = shop.buy(acme)
    ask_as_operator(operator_browser(), acme, top_up, form_id=str(uuid4()))
    OperatorAction.objects.filter(tenant_code=acme.code).update(
        created_at=timezone.now() - timedelta(hours=25)
    )
    told = ask_as_operator(operator_browser(), acme, top_up, form_id=str(uuid4()))
    assert "takes two operators" in told
    assert all_refunds(acme) == []


def test_a_payment_of_another_tenant_is_not_refunded_by_this_ones_page(
    acme: Any, globex: Any, shop: Shop
) -> None:
    top_up = shop.buy(acme)
    path = f"/admin/tenants/{globex.code}/refund/{top_up.pk}/"
    form = {"form_id": str(uuid4()), "amount": "10", "reason": "x"}
    assert operator_browser().post(path, form).status_code == 404
    assert staff_browser("view_tenant").post(path, form).status_code == 403
    assert all_refunds(acme) == []
