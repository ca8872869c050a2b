"""Pages about payments: who sees them, what they do."""

import re
from itertools import pairwise
from typing import Any
from uuid import uuid4

import pytest
from django.test import Client

from agentflare.money import format_usd
from billing.admission import outage
from billing.dashboard.tests.test_overview import call, settle, signed_in, text
from billing.ledger.services import grant_credit
from billing.payments.models import Refund, TopUp
from billing.payments.sync import sync_session
from billing.payments.tests.shop import (
    DECLINED,
    THREE_D_SECURE,
    USD,
    Shop,
    account,
    available,
    balances,
)
from tenants.audit.models import AuditEvent
from tenants.registry.schemas import tenant_schema
from tenants.users.models import Role
from tenants.users.services import add_member

READ = ["", "payments/", "statement/", "statement.csv", "payments/{id}/", "payments/{id}/state/"]
READ_TO_MANAGE = ["details/", "quote/", "payments/{id}/pay/", "card/saved/"]
WRITE = [
    "top-up/", "auto-recharge/", "alert/", "card/", "card/remove/", "details/",
    "payments/{id}/refund/", "payments/{id}/cancel/",
]  # fmt: skip


def at(cast: Any, path: str, top_up: Any = None) -> str:
    return f"/t/{cast.tenant.slug}/billing/{path}".replace("{id}", str(top_up and top_up.pk))


def member(cast: Any, role: str) -> Client:
    email = f"{role}-{uuid4().hex[:8]}@x.test"
    add_member(tenant=cast.tenant, email=email, role=role, password="correct-horse-1")
    from tenants.users.models import User

    return signed_in(User.objects.get(email=email))


# --- Who --------------------------------------------------------------------------


@pytest.mark.parametrize("path", [*READ, *READ_TO_MANAGE])
def test_strangers_find_nothing(acme: Any, globex: Any, shop: Shop, path: str) -> None:
    top_up = shop.order(acme)
    stranger = signed_in(globex.owner)

    assert stranger.get(at(acme, path, top_up)).status_code == 404
    if "{id}" in path:
        assert stranger.get(at(globex, path, top_up)).status_code == 404
    assert Client().get(at(acme, path, top_up)).status_code == 302


@pytest.mark.parametrize("path", WRITE)
def test_strangers_change_nothing(acme: Any, globex: Any, shop: Shop, path: str) -> None:
    top_up = shop.buy(acme)
    stranger = signed_in(globex.owner)
    form = {"amount": "10"}

    assert stranger.post(at(acme, path, top_up), form).status_code == 404
    if "{id}" in path:
        assert stranger.post(at(globex, path, top_up), form).status_code == 404
    assert balances(acme)["credit"] == 50 * USD
    assert balances(globex)["credit"] == 25 * USD


@pytest.mark.parametrize("role", list(Role))
def test_roles_see_and_do_what_is_theirs(acme: Any, shop: Shop, role: str) -> None:
    top_up = shop.order(acme)
    client = member(acme, role)
    is_let_in = role in (Role.OWNER, Role.ADMIN, Role.BILLING)

    for path in [*READ, *READ_TO_MANAGE]:
        status = client.get(at(acme, path, top_up)).status_code
        assert (status == 403) is not is_let_in, path
    for path in WRITE:
        status = client.post(at(acme, path, top_up), {"amount": "nothing"}).status_code
        assert (status == 403) is not is_let_in, path


@pytest.mark.parametrize("path", WRITE)
def test_changes_need_a_form_of_ours(acme: Any, shop: Shop, path: str) -> None:
    client = Client(enforce_csrf_checks=True)
    client.force_login(acme.owner)

    assert client.post(at(acme, path, shop.order(acme)), {"amount": "10"}).status_code == 403


# --- Buying -----------------------------------------------------------------------


def test_buying_leads_to_stripe_and_back_to_credit(acme: Any, shop: Shop) -> None:
    client = signed_in(acme.owner)

    begun = client.post(at(acme, "top-up/"), {"preset": "2500"})
    with tenant_schema(acme.code):
        top_up = TopUp.objects.get()
    assert begun.headers["Location"] == at(acme, "payments/{id}/pay/", top_up)
    on_the_way = client.get(begun.headers["Location"])
    assert f"0; url={top_up.session_url}" in text(on_the_way)

    answer = shop.pay(top_up)
    assert answer.headers["Location"].endswith(at(acme, "payments/{id}/", top_up))
    page = text(client.get(at(acme, "payments/{id}/", top_up)))

    assert "$25.00 of credit were added" in page
    assert "Available now: <strong>$50.00" in page
    assert available(acme) == 50 * USD
    again = client.get(at(acme, "payments/{id}/pay/", top_up))
    assert again.headers["Location"] == at(acme, "payments/{id}/", top_up)


@pytest.mark.parametrize(
    ("form", "words"),
    [
        ({}, "Choose an amount."),
        ({"amount": "4.99"}, "Choose an amount from $5 to $1,000."),
        ({"amount": "1000.01"}, "Choose an amount from $5 to $1,000."),
        ({"amount": "-20"}, "Choose an amount from $5"),
        ({"amount": "1e3"}, ""),
        ({"amount": "NaN"}, "Enter dollars"),
        ({"amount": "12.345"}, "2 decimal places"),
        ({"amount": "ten"}, "Enter dollars, such as 25 or 12.50."),
        ({"preset": "1"}, "not one of the available choices"),
    ],
)
def test_odd_amounts_are_told(acme: Any, shop: Shop, form: dict[str, str], words: str) -> None:
    response = signed_in(acme.owner).post(at(acme, "top-up/"), form)

    if words:
        assert response.status_code == 422
        assert words in text(response)
    else:
        assert response.status_code == 302


def test_a_plan_has_bounds_of_its_own(acme: Any, shop: Shop) -> None:
    from tenants.registry.models import Plan

    acme.tenant.plan = Plan.objects.create(
        slug=f"p-{uuid4().hex[:8]}", name="Small", most_top_up_dollars=20
    )
    acme.tenant.save()

    page = text(signed_in(acme.owner).get(at(acme, "")))

    assert "From $5 to $20." in page
    assert 'value="1000"' in page
    assert 'value="2500"' not in page


def test_the_sum_is_shown_with_fee_and_tax_before_it_is_paid(
    acme: Any, shop: Shop, settings: Any
) -> None:
    from decimal import Decimal

    settings.TOP_UP_FEE_PERCENT, settings.TOP_UP_TAX_PERCENT = Decimal(4), Decimal(19)
    settings.TOP_UP_TAX_NAME = "VAT"

    part = text(signed_in(acme.owner).get(at(acme, "quote/"), {"amount": "25", "preset": "1000"}))

    assert "Credit</dt><dd>$25.00" in part
    assert "Fee</dt><dd>$1.00" in part
    assert "VAT</dt><dd>$4.94" in part
    assert "You pay</dt><dd>$30.94" in part
    assert "$1,000" in text(signed_in(acme.owner).get(at(acme, "quote/"), {"amount": "2000"}))


def test_an_open_payment_looks_again_until_it_is_credited(acme: Any, shop: Shop) -> None:
    client = signed_in(acme.owner)
    top_up = shop.order(acme)
    page = text(client.get(at(acme, "payments/{id}/", top_up)))
    assert 'hx-trigger="load delay:2s"' in page

    part = client.get(at(acme, "payments/{id}/state/", top_up), {"n": "1"})
    assert "?n=2" in text(part)
    assert "delay:15s" in text(client.get(at(acme, "payments/{id}/state/", top_up), {"n": "99"}))
    assert "hx-get" not in text(client.get(at(acme, "payments/{id}/state/", top_up), {"n": "999"}))
    shop.pay(top_up)
    last = client.get(at(acme, "payments/{id}/state/", top_up), {"n": "2"})
    assert last.headers["HX-Refresh"] == "true"


def test_while_stripe_is_down_the_page_stands(acme: Any, shop: Shop) -> None:
    top_up = shop.order(acme)
    shop.control("POST", "faults", kind="error", count=None)

    page = text(signed_in(acme.owner).get(at(acme, "payments/{id}/", top_up)))
    assert "Waiting for Stripe" in page
    response = signed_in(acme.owner).post(at(acme, "top-up/"), {"amount": "25"}, follow=True)
    assert "Stripe does not answer" in text(response)


def test_a_declined_payment_says_what_to_do(acme: Any, shop: Shop) -> None:
    top_up = shop.order(acme)
    shop.pay(top_up, DECLINED)

    page = text(signed_in(acme.owner).get(at(acme, "payments/{id}/", top_up)))

    assert "Your card was declined" in page
    assert "Continue to payment" in page


def test_a_payment_is_given_up_from_the_page(acme: Any, shop: Shop) -> None:
    top_up = shop.order(acme)
    client = signed_in(acme.owner)
    form = f'action="{at(acme, "payments/{id}/cancel/", top_up)}"'
    assert form in text(client.get(at(acme, "")))
    assert form in text(client.get(at(acme, "payments/{id}/", top_up)))

    page = text(client.post(at(acme, "payments/{id}/cancel/", top_up), follow=True))

    assert "The payment is canceled. Nothing was charged." in page
    assert "is not finished" not in page
    ended = text(client.get(at(acme, "payments/{id}/", top_up)))
    assert "This payment was not finished." in ended
    assert f"Canceled by {acme.owner.email}." in ended


def test_while_stripe_is_down_nothing_is_given_up(acme: Any, shop: Shop) -> None:
    top_up = shop.order(acme)
    shop.control("POST", "faults", kind="error", count=None)

    page = text(signed_in(acme.owner).post(at(acme, "payments/{id}/cancel/", top_up), follow=True))

    assert "Stripe does not answer" in page
    assert "Continue to payment" in page


def test_without_a_key_the_page_says_so(acme: Any, settings: Any) -> None:
    settings.STRIPE_SECRET_KEY = ""
    client = signed_in(acme.owner)

    assert "Payments are not set up here" in text(client.get(at(acme, "")))
    for path in ("top-up/", "card/"):
        response = client.post(at(acme, path), {"amount": "25"}, follow=True)
        assert "not set up" in text(response)


# --- Card and auto-recharge -------------------------------------------------------


def test_a_card_is_saved_shown_and_removed(acme: Any, shop: Shop) -> None:
    client = signed_in(acme.owner)
    started = client.post(at(acme, "card/"))
    (url,) = set(re.findall(r'url=(http[^"]+)"', started.content.decode()))
    import requests

    from billing.payments.tests.shop import CARD

    back = requests.post(
        url, data={**CARD, "cardNumber": "4242424242424242"}, allow_redirects=False, timeout=5
    )
    path = back.headers["Location"].partition("/t/")[2]
    page = text(client.get(f"/t/{path}", follow=True))
    assert "Visa ending in 4242 is saved." in page
    assert "expires 12/2040" in page

    assert "The card is removed" in text(client.post(at(acme, "card/remove/"), follow=True))
    assert not account(acme).has_card
    assert client.post(at(acme, "card/remove/")).status_code == 302


def test_a_payment_that_is_not_what_was_asked_for_is_no_card(acme: Any, shop: Shop) -> None:
    top_up = shop.order(acme)
    with tenant_schema(acme.code):
        TopUp.objects.filter(pk=top_up.pk).update(credit_cents=9900)
    shop.pay(top_up)

    back = signed_in(acme.owner).get(
        at(acme, "card/saved/"), {"session": top_up.session_id}, follow=True
    )

    assert back.status_code == 200


def test_another_tenants_session_saves_nothing_here(acme: Any, globex: Any, shop: Shop) -> None:
    top_up = shop.order(globex, saves_card=True)
    shop.pay(top_up)

    signed_in(acme.owner).get(at(acme, "card/saved/"), {"session": top_up.session_id})

    assert not account(acme).has_card
    assert shop.again(globex, top_up).status == TopUp.Status.PENDING


def test_auto_recharge_is_set(acme: Any, shop: Shop) -> None:
    shop.save_card(acme)
    client = signed_in(acme.owner)
    form = {"enabled": "on", "threshold": "10", "amount": "20", "cap": "100"}

    page = text(client.post(at(acme, "auto-recharge/"), form, follow=True))

    assert "Auto-recharge is on." in page
    row = account(acme)
    assert (row.auto_enabled, row.auto_threshold_nusd) == (True, 10 * USD)
    assert (row.auto_amount_cents, row.auto_cap_cents) == (2000, 10_000)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"cap": "19"}, "the cap must be at least as much"),
        ({"amount": "2"}, "Choose an amount from $5"),
        ({"threshold": "0"}, "greater than or equal to 1"),
        ({"threshold": ""}, "This field is required"),
    ],
)
def test_odd_settings_are_told(acme: Any, shop: Shop, changes: dict[str, str], words: str) -> None:
    shop.save_card(acme)
    form = {"enabled": "on", "threshold": "10", "amount": "20", "cap": "100", **changes}

    response = signed_in(acme.owner).post(at(acme, "auto-recharge/"), form)

    assert response.status_code == 422
    assert words in text(response)
    assert not account(acme).auto_enabled


def test_auto_recharge_needs_a_card(acme: Any, shop: Shop) -> None:
    form = {"enabled": "on", "threshold": "10", "amount": "20", "cap": "100"}

    response = signed_in(acme.owner).post(at(acme, "auto-recharge/"), form)

    assert response.status_code == 422
    assert not account(acme).auto_enabled


def test_a_payment_to_confirm_is_offered(acme: Any, shop: Shop) -> None:
    from billing.payments.recharge import change_auto_recharge, recharge_if_low

    shop.save_card(acme)
    change_auto_recharge(
        tenant=acme.tenant, enabled=True, threshold_nusd=30 * USD, amount_cents=2000,
        cap_cents=9000, actor="test",
    )  # fmt: skip
    method = account(acme).payment_method_id
    shop.control("POST", f"payment_methods/{method}/card", number=THREE_D_SECURE)
    recharge_if_low(acme.tenant)
    client = signed_in(acme.owner)

    page = text(client.get(at(acme, "")))
    assert "Your bank wants you to confirm a payment of $20.00" in page
    client.post(at(acme, "top-up/"), {"amount": "20", "saves_card": "on"})
    with tenant_schema(acme.code):
        begun = TopUp.objects.filter(kind=TopUp.Kind.CHECKOUT).get()
    shop.authenticate(shop.pay(begun, THREE_D_SECURE))
    sync_session(begun.session_id)

    assert balances(acme)["credit"] == 45 * USD
    assert "wants you to confirm" not in text(client.get(at(acme, "")))


def test_the_alert_is_set_and_ended(acme: Any, shop: Shop) -> None:
    client = signed_in(acme.owner)
    client.post(at(acme, "alert/"), {"amount": "12.50"})
    assert account(acme).alert_nusd == 12_500_000_000
    assert 'value="12.50"' in text(client.get(at(acme, "")))

    client.post(at(acme, "alert/"), {"amount": ""})
    assert account(acme).alert_nusd is None


# --- Details ----------------------------------------------------------------------


def test_details_reach_stripe(acme: Any, shop: Shop) -> None:
    form = {
        "name": "Acme GmbH", "email": "bills@acme.test", "line1": "Street 1", "city": "Berlin",
        "postal_code": "10115", "country": "DE", "tax_id_type": "eu_vat", "tax_id": "de 123456789",
    }  # fmt: skip
    client = signed_in(acme.owner)

    page = text(client.post(at(acme, "details/"), form, follow=True))

    assert "Saved." in page
    assert 'value="Acme GmbH"' in page
    customer = shop.api.customers.retrieve(account(acme).customer_id)
    assert (customer.name, customer.email) == ("Acme GmbH", "bills@acme.test")
    assert customer.address.country == "DE"
    assert [each.value for each in shop.api.customers.tax_ids.list(customer.id).data] == [
        "DE123456789"
    ]
    client.post(at(acme, "details/"), {**form, "tax_id": "", "tax_id_type": ""})
    assert shop.api.customers.tax_ids.list(customer.id).data == []


def test_a_tax_id_that_stripe_refuses_is_told(acme: Any, shop: Shop) -> None:
    client = signed_in(acme.owner)

    response = client.post(
        at(acme, "details/"), {"name": "Acme", "tax_id_type": "gb_vat", "tax_id": "GBGD123"}
    )

    assert response.status_code == 422
    assert "Invalid value for gb_vat" in text(response)
    assert (account(acme).name, account(acme).tax_id) == ("Acme", "")
    # And credit can be bought.
    assert shop.buy(acme).status == TopUp.Status.CREDITED


@pytest.mark.parametrize(
    ("form", "words"),
    [
        ({"country": "Germany"}, "not one of the available choices"),
        ({"line1": "Street 1"}, "An address needs its country"),
        ({"tax_id": "X1"}, "needs its kind"),
        ({"tax_id_type": "gb_vat"}, "needs its kind"),
        ({"tax_id_type": "xx_vat", "tax_id": "X1"}, "not one of the available choices"),
        ({"tax_id_type": "eu_vat", "tax_id": "DE12"}, "EU VAT numbers look like DE123456789."),
        ({"email": "nobody"}, "valid email"),
    ],
)
def test_odd_details_are_told(acme: Any, shop: Shop, form: dict[str, str], words: str) -> None:
    response = signed_in(acme.owner).post(at(acme, "details/"), form)

    assert response.status_code == 422
    assert words in text(response)


def test_details_are_kept_while_stripe_is_down_and_told_later(acme: Any, shop: Shop) -> None:
    shop.order(acme)
    shop.control("POST", "faults", kind="error", count=None)
    client = signed_in(acme.owner)

    page = text(client.post(at(acme, "details/"), {"name": "Later Ltd"}, follow=True))
    assert "Stripe did not answer" in page
    shop.control("DELETE", "faults")
    shop.order(acme)

    assert shop.api.customers.retrieve(account(acme).customer_id).name == "Later Ltd"


# --- Refunds ----------------------------------------------------------------------


def test_unused_credit_is_paid_back_from_the_page(acme: Any, shop: Shop) -> None:
    top_up = shop.buy(acme)
    client = signed_in(acme.owner)
    assert "Up to $25.00 of unused credit" in text(client.get(at(acme, "payments/{id}/", top_up)))

    response = client.post(at(acme, "payments/{id}/refund/", top_up), {"amount": "10"}, follow=True)

    assert "$10 are on their way" in text(response)
    assert "Up to $15.00" in text(response)
    assert available(acme) == 40 * USD
    with tenant_schema(acme.code):
        assert AuditEvent.objects.filter(action="refund.requested").count() == 1
        assert Refund.objects.get().created_by == acme.owner.email


@pytest.mark.parametrize(
    ("amount", "words"),
    [("26", "up to $25"), ("0", "greater than or equal"), ("", "required"), ("x", "Enter dollars")],
)
def test_odd_refunds_are_told_in_the_dialog(acme: Any, shop: Shop, amount: str, words: str) -> None:
    top_up = shop.buy(acme)

    response = signed_in(acme.owner).post(
        at(acme, "payments/{id}/refund/", top_up), {"amount": amount}
    )

    assert response.status_code == 422
    assert words in text(response)
    assert "data-open>" in text(response)
    assert balances(acme)["credit"] == 50 * USD


def test_a_refund_pressed_twice_is_paid_back_once(acme: Any, shop: Shop) -> None:
    top_up = shop.buy(acme)
    client = signed_in(acme.owner)
    page = text(client.get(at(acme, "payments/{id}/", top_up)))
    (form_id,) = re.findall(r'name="form_id" value="([^"]+)"', page)
    form = {"amount": "5", "form_id": form_id}

    for _ in range(3):
        response = client.post(at(acme, "payments/{id}/refund/", top_up), form, follow=True)
    assert "$5 are on their way" in text(response)
    assert balances(acme)["credit"] == 45 * USD

    # The next page has another form.
    assert form_id not in text(response)


def test_a_refund_that_was_refused_may_be_sent_again(
    acme: Any, shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    top_up = shop.buy(acme)
    client = signed_in(acme.owner)
    form = {"amount": "5", "form_id": str(uuid4())}
    with monkeypatch.context() as down:
        down.setattr(outage, "is_on", lambda part=0: True)
        refused = client.post(at(acme, "payments/{id}/refund/", top_up), form)
    assert "Try again in a minute" in text(refused)
    assert f'value="{form["form_id"]}"' in text(refused)

    client.post(at(acme, "payments/{id}/refund/", top_up), form)

    assert balances(acme)["credit"] == 45 * USD


def test_a_payment_that_the_bank_gave_back_says_so(acme: Any, shop: Shop) -> None:
    top_up = shop.buy(acme)
    dispute = shop.control("POST", f"charges/{top_up.payment_intent_id}/dispute")["id"]
    shop.control("POST", f"disputes/{dispute}/lose")
    shop.deliver_all()

    page = text(signed_in(acme.owner).get(at(acme, "payments/{id}/", top_up)))

    assert "The bank has given it back already." in page


# --- Lists ------------------------------------------------------------------------


def test_payments_are_listed_by_pages(acme: Any, shop: Shop) -> None:
    with tenant_schema(acme.code):
        for number in range(30):
            TopUp.objects.create(
                kind="checkout", credit_cents=1000 + number, status="failed", created_by="x"
            )
    client = signed_in(acme.owner)

    first = text(client.get(at(acme, "payments/")))
    (older,) = re.findall(r'href="(\?before=[^"]+)"', first)
    second = text(client.get(at(acme, "payments/") + older))

    assert first.count('rowheader"') == 25
    assert second.count('rowheader"') == 5
    assert client.get(at(acme, "payments/?before=x")).status_code == 404


def test_the_statement_has_every_movement_and_the_balance_after_it(acme: Any, shop: Shop) -> None:
    shop.buy(acme, 1000)
    for _ in range(3):
        call(acme, USD)
        settle(acme)
    grant_credit(
        tenant=acme.tenant, amount_nusd=5 * USD, reference="x", actor="op", memo="=sorry()"
    )
    client = signed_in(acme.owner)

    page = text(client.get(at(acme, "statement/")))
    assert page.count('role="row"') == 5
    assert "+$10.00" in page
    assert "-$3.00" in page
    assert "Credit bought" in page
    lines = b"".join(client.get(at(acme, "statement.csv?month=all"))).decode().splitlines()

    assert lines[0].startswith("date,time (UTC),what")
    assert len(lines) == 5
    assert [line.split(",")[-1] for line in lines[1:]] == [
        format_usd(amount * USD) for amount in (25, 35, 40, 37)
    ]
    assert any("'=sorry()" in line for line in lines)
    assert balances(acme)["credit"] == 37 * USD
    only = text(client.get(at(acme, "statement/?kind=top_up")))
    assert only.count('role="row"') == 2


def test_an_older_month_closes_with_what_the_next_opens_with(acme: Any, shop: Shop) -> None:
    from datetime import timedelta

    from django.utils import timezone

    from billing.ledger.models import JournalEntry
    from billing.payments.statement import months, statement

    shop.buy(acme, 1000)
    with tenant_schema(acme.code):
        old = timezone.now() - timedelta(days=70)
        JournalEntry.objects.filter(kind="grant").update(created_at=old)
        every = [statement(month) for month in months()]

    assert len(every) in (3, 4)
    for later, earlier in pairwise(every):
        assert earlier.closing_nusd == later.opening_nusd
    assert (every[0].closing_nusd, every[-1].opening_nusd) == (35 * USD, 0)
    assert signed_in(acme.owner).get(at(acme, "statement/?month=1999-01")).status_code == 404
