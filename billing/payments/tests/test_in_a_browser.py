"""Buying credit in a real Chromium, with Stripe's stand-in, its webhooks and the worker."""

from collections.abc import Iterator
from typing import Any

import pytest
from playwright.sync_api import Page, expect

from billing.ledger.models import LedgerAccount
from billing.payments.models import TopUp
from tenants.registry.schemas import tenant_schema

USD = 1_000_000_000
GOOD, DECLINED, THREE_D_SECURE = "4242424242424242", "4000000000000002", "4000002760003184"
# What Chromium tells of answers that are meant: a declined card, an odd entry.
_EXPECTED = ("status of 402", "status of 422")


def credit(cast: Any) -> int:
    with tenant_schema(cast.code):
        return LedgerAccount.objects.get(code="credit").balance_nusd


def enter_card(page: Page, number: str) -> None:
    page.get_by_label("Card number").fill(number)
    page.get_by_label("Expiry (MM/YY)").fill("12/40")
    page.get_by_label("CVC").fill("123")
    page.get_by_label("Name on card").fill("Ada Buyer")


@pytest.fixture
def cast(gateway: Any) -> Any:
    return gateway.cast()


@pytest.fixture
def buyer(visit: Any, gateway: Any) -> Iterator[Any]:
    yield from at_home(visit, gateway)


@pytest.fixture
def any_buyer(any_visit: Any, gateway: Any) -> Iterator[Any]:
    yield from at_home(any_visit, gateway)


def at_home(visit: Any, gateway: Any) -> Iterator[Any]:
    """At the address to which Stripe sends people back: cookies are of one host."""
    visit.base_url = gateway.sandbox.env["AGENTFLARE_URL"]
    yield visit
    visit.complaints[:] = [
        each for each in visit.complaints if not any(words in each for words in _EXPECTED)
    ]


def to_stripe(visit: Any, cast: Any, amount: str = "") -> Page:
    """From the billing page to Stripe's."""
    visit.sign_in(cast.owner)
    page: Page = visit.goto(f"/t/{cast.tenant.slug}/billing/")
    if amount:
        page.get_by_label("Another amount, in dollars").fill(amount)
        expect(page.locator("#quote")).to_contain_text(f"You pay${amount}")
    page.get_by_role("button", name="Pay with Stripe").click()
    expect(page.get_by_label("Card number")).to_be_visible()
    return page


def test_credit_is_bought_by_clicking_through_checkout(any_buyer: Any, cast: Any) -> None:
    page = to_stripe(any_buyer, cast, "12.50")
    enter_card(page, GOOD)
    page.get_by_role("button", name="Pay $12.50").click()

    expect(page.get_by_text("$12.50 of credit were added")).to_be_visible()
    any_buyer.expect_good_page()
    assert credit(cast) == 37 * USD + USD // 2

    page.get_by_role("link", name="Credit", exact=True).click()
    expect(page.locator(".figures")).to_contain_text("$37.50")
    any_buyer.expect_good_page()


def test_a_preset_is_chosen(buyer: Any, cast: Any) -> None:
    buyer.sign_in(cast.owner)
    page = buyer.goto(f"/t/{cast.tenant.slug}/billing/")

    page.get_by_label("$50").check(force=True)

    expect(page.locator("#quote")).to_contain_text("You pay$50.00")


def test_a_declined_card_is_followed_by_another(buyer: Any, cast: Any) -> None:
    page = to_stripe(buyer, cast)
    enter_card(page, DECLINED)
    page.get_by_role("button", name="Pay $25.00").click()
    expect(page.get_by_role("alert")).to_contain_text("declined")

    page.goto(f"{buyer.base_url}/t/{cast.tenant.slug}/billing/")
    expect(page.get_by_text("A payment of $25.00 is not finished.")).to_be_visible()
    buyer.expect_good_page()
    page.get_by_role("link", name="Continue to payment").click()
    enter_card(page, GOOD)
    page.get_by_role("button", name="Pay $25.00").click()

    expect(page.get_by_text("$25.00 of credit were added")).to_be_visible()
    assert credit(cast) == 50 * USD


def test_3d_secure_is_confirmed_and_credited(buyer: Any, cast: Any) -> None:
    page = to_stripe(buyer, cast)
    enter_card(page, THREE_D_SECURE)
    page.get_by_role("button", name="Pay $25.00").click()
    page.get_by_role("button", name="Complete").click()

    expect(page.get_by_text("$25.00 of credit were added")).to_be_visible()
    assert credit(cast) == 50 * USD


def test_a_payment_that_is_made_elsewhere_is_credited_live(buyer: Any, cast: Any) -> None:
    """The page waits; the payment is made in another tab."""
    import requests

    page = to_stripe(buyer, cast)
    address = page.url
    with tenant_schema(cast.code):
        top_up = TopUp.objects.get()
    page.goto(f"{buyer.base_url}/t/{cast.tenant.slug}/billing/payments/{top_up.pk}/")
    expect(page.get_by_text("Waiting for Stripe.")).to_be_visible()
    buyer.expect_good_page()

    requests.post(
        address,
        data={
            "email": "a@x.test", "cardNumber": GOOD, "cardExpiry": "12/40", "cardCvc": "123",
            "billingName": "Ada",
        },
        allow_redirects=False,
        timeout=5,
    )  # fmt: skip

    expect(page.get_by_text("$25.00 of credit were added")).to_be_visible()


def test_a_card_is_saved_and_recharges_by_itself(any_buyer: Any, cast: Any) -> None:
    any_buyer.sign_in(cast.owner)
    page = any_buyer.goto(f"/t/{cast.tenant.slug}/billing/")
    any_buyer.expect_good_page()
    page.get_by_role("button", name="Save a card").click()
    enter_card(page, GOOD)
    page.get_by_role("button", name="Save card").click()
    expect(page.get_by_text("Visa ending in 4242 is saved.")).to_be_visible()

    page.get_by_label("Turn on auto-recharge").check()
    page.get_by_label("When less than this is left ($)", exact=True).fill("30")
    page.get_by_label("Buy credit for ($)").fill("10")
    page.get_by_label("Charge at most this in a month ($)").fill("40")
    page.locator("#auto-form").get_by_role("button", name="Save").click()
    expect(page.get_by_text("Auto-recharge is on.")).to_be_visible()
    any_buyer.expect_good_page()

    # $25 are less than $30: the worker charges the card.
    page.wait_for_timeout(500)
    for _ in range(60):
        if credit(cast) == 35 * USD:
            break
        page.wait_for_timeout(1000)
    assert credit(cast) == 35 * USD
    page.reload()
    expect(page.locator(".figures")).to_contain_text("$35.00")

    page.get_by_role("button", name="Remove").click()
    any_buyer.expect_good_page()
    page.get_by_role("button", name="Remove the card").click()
    expect(page.get_by_text("No card is saved.")).to_be_visible()


def test_unused_credit_is_paid_back(any_buyer: Any, cast: Any) -> None:
    page = to_stripe(any_buyer, cast)
    enter_card(page, GOOD)
    page.get_by_role("button", name="Pay $25.00").click()
    expect(page.get_by_text("$25.00 of credit were added")).to_be_visible()

    page.get_by_role("button", name="Refund unused credit").click()
    page.get_by_label("Credit to refund ($)").fill("40")
    any_buyer.expect_good_page()
    page.get_by_role("button", name="Refund", exact=True).click()
    expect(page.get_by_text("Choose an amount up to $25.")).to_be_visible()
    page.get_by_label("Credit to refund ($)").fill("10")
    page.get_by_role("button", name="Refund", exact=True).click()

    expect(page.get_by_text("$10 are on their way to your card")).to_be_visible()
    any_buyer.expect_good_page()
    assert credit(cast) == 40 * USD
    for path in ("payments/", "statement/", "details/"):
        any_buyer.goto(f"/t/{cast.tenant.slug}/billing/{path}")
        any_buyer.expect_good_page()
