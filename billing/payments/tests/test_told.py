"""Servers of the tenant's are told of money: once for each cause."""

import json
from typing import Any

import pytest
from django.core import mail

from agentflare import secrets
from billing.payments.low_balance import change_alert, look_after_balance
from billing.payments.recharge import recharge_if_low
from billing.payments.sync import sync_payment
from billing.payments.tests.shop import DECLINED_LATER, USD, Shop
from billing.payments.tests.test_recharge import recharges, spend, turn_on
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
    def fail(**_: Any) -> None:
        raise ConnectionRefusedError

    change_alert(tenant=acme.tenant, alert_nusd=10 * USD, actor="test")
    spend(acme, 20)
    with monkeypatch.context() as patch:
        patch.setattr("tenants.members.mails.send_mail", fail)
        with pytest.raises(ConnectionRefusedError):
            look_after_balance(acme.tenant)
    look_after_balance(acme.tenant)

    assert len(told(acme)) == 1
    assert len(mail.outbox) == 1


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
