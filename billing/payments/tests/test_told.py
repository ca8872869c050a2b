"""Servers of the tenant's are told of money: once for each cause."""

import json
from datetime import timedelta
from typing import Any

import pytest
from django.core import mail
from django.db import transaction
from django.utils import timezone

from agentflare import secrets
from billing.payments import outgoing
from billing.payments.low_balance import change_alert, look_after_balance
from billing.payments.models import BillingAccount
from billing.payments.recharge import recharge_if_low
from billing.payments.sync import sync_payment
from billing.payments.tasks import send_owed_mails_task
from billing.payments.tests.shop import DECLINED_LATER, GOOD, USD, Shop
from billing.payments.tests.test_recharge import recharges, spend, turn_on
from billing.stripe.models import OwedMail
from tenants.audit.services import Actor
from tenants.registry.schemas import tenant_schema
from tenants.webhooks.delivery import PURPOSE
from tenants.webhooks.models import WebhookDelivery, WebhookEndpoint
from tenants.workspaces.closing import close_workspace
from tenants.workspaces.services import choose_alerts

EVENTS = ["balance.low", "top_up.credited", "top_up.failed"]


@pytest.fixture(autouse=True)
def _endpoint(acme: Any) -> None:
    with tenant_schema(acme.code):
        secret = secrets.encrypt("whsec_c2VjcmV0", purpose=PURPOSE)
        WebhookEndpoint.objects.create(url="https://x.test/", events=EVENTS, secret=secret)


def told(cast: Any) -> list[tuple[str, dict[str, Any]]]:
    """Oldest first."""
    with tenant_schema(cast.code):
        rows = WebhookDelivery.objects.order_by("id")
        return [(row.event, json.loads(row.body)["data"]) for row in rows]


def test_a_payment_that_arrives(acme: Any, shop: Shop) -> None:
    top_up = shop.buy(acme, 2500)
    sync_payment(top_up.payment_intent_id)

    ((event, data),) = told(acme)
    assert event == "top_up.credited"
    assert (data["id"], data["credit_nusd"]) == (str(top_up.pk), str(25 * USD))


def test_a_recharge_that_fails(acme: Any, shop: Shop) -> None:
    shop.save_card(acme, DECLINED_LATER)
    turn_on(acme)
    spend(acme, 20)
    recharge_if_low(acme.tenant)
    (failed,) = recharges(acme)
    sync_payment(failed.payment_intent_id)

    assert [(event, data["id"]) for event, data in told(acme)] == [
        ("top_up.failed", str(failed.pk))
    ]


def test_a_balance_that_falls(acme: Any, shop: Shop) -> None:
    change_alert(tenant=acme.tenant, alert_nusd=10 * USD, actor="test")
    spend(acme, 20)
    for _ in range(3):
        look_after_balance(acme.tenant)
    shop.buy(acme, 2000)
    look_after_balance(acme.tenant)
    spend(acme, 20)
    look_after_balance(acme.tenant)

    falls = [data for event, data in told(acme) if event == "balance.low"]
    assert falls == [{"left_nusd": str(5 * USD), "alert_nusd": str(10 * USD)}] * 2


def test_a_mail_that_fails_tells_servers_no_second_time(
    acme: Any, shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    change_alert(tenant=acme.tenant, alert_nusd=10 * USD, actor="test")
    spend(acme, 20)
    with monkeypatch.context() as patch:
        patch.setattr(outgoing, "send_mail", fail)
        look_after_balance(acme.tenant)
    look_after_balance(acme.tenant)
    assert mail.outbox == []
    later(acme)

    assert len(told(acme)) == 1
    assert [letter.to for letter in mail.outbox] == [[acme.owner.email]]


def fail(**_: Any) -> None:
    raise ConnectionRefusedError


def later(cast: Any) -> None:
    """The next look at mails that are owed."""
    OwedMail.objects.filter(address=cast.owner.email).update(next_try_at=timezone.now())
    send_owed_mails_task()


@pytest.mark.parametrize("what", ["declined", "capped", "disputed"])
def test_whoever_dies_before_the_mail_leaves_it_to_the_next(
    acme: Any, shop: Shop, monkeypatch: pytest.MonkeyPatch, what: str
) -> None:
    shop.save_card(acme, DECLINED_LATER if what == "declined" else GOOD)
    turn_on(acme)
    spend(acme, 20)
    with monkeypatch.context() as dead:
        # What is to be done after the commit is never done.
        dead.setattr(transaction, "on_commit", lambda *_, **__: None)
        match what:
            case "declined":
                recharge_if_low(acme.tenant)
            case "capped":
                with tenant_schema(acme.code):
                    BillingAccount.objects.update(auto_cap_cents=1)
                recharge_if_low(acme.tenant)
            case "disputed":
                bought = shop.buy(acme)
                shop.control("POST", f"charges/{bought.payment_intent_id}/dispute")
                sync_payment(bought.payment_intent_id)
    assert mail.outbox == []

    later(acme)
    later(acme)

    (letter,) = mail.outbox
    words = {"declined": "failed", "capped": "monthly cap", "disputed": "is disputed"}
    assert words[what] in letter.subject


def test_a_mail_that_cannot_be_sent_is_tried_rarer_and_given_up_after_days(
    acme: Any, shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(outgoing, "send_mail", fail)
    change_alert(tenant=acme.tenant, alert_nusd=30 * USD, actor="test")
    look_after_balance(acme.tenant)
    for _ in range(3):
        later(acme)
    owed = OwedMail.objects.get(address=acme.owner.email)
    assert owed.attempts == 4
    assert owed.next_try_at > timezone.now() + timedelta(minutes=7)

    OwedMail.objects.update(created_at=timezone.now() - timedelta(days=4))
    later(acme)
    assert not OwedMail.objects.filter(address=acme.owner.email).exists()


def test_the_name_of_a_workspace_ends_no_header(acme: Any, shop: Shop) -> None:
    acme.tenant.name = "Acme\nBcc: all@x.test"
    change_alert(tenant=acme.tenant, alert_nusd=30 * USD, actor="test")
    look_after_balance(acme.tenant)

    (letter,) = mail.outbox
    assert letter.subject.startswith("Acme Bcc: all@x.test: less than")


def test_those_are_mailed_whom_the_workspace_chose(acme: Any, shop: Shop) -> None:
    choose_alerts(
        tenant=acme.tenant, roles=[], addresses=["pager@x.test"], actor=Actor("owner@x.test")
    )
    change_alert(tenant=acme.tenant, alert_nusd=10 * USD, actor="test")
    spend(acme, 20)
    look_after_balance(acme.tenant)

    assert [letter.to for letter in mail.outbox] == [["pager@x.test"]]


def test_a_closed_workspace_is_charged_nothing(acme: Any, shop: Shop) -> None:
    shop.save_card(acme)
    turn_on(acme)
    spend(acme, 20)
    close_workspace(tenant=acme.tenant, actor=Actor(acme.owner.email))
    acme.tenant.refresh_from_db()

    assert recharge_if_low(acme.tenant) is None
