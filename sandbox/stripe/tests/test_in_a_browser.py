"""The pages in a real Chromium: clicked, on a phone and by night, and checked by axe-core."""

from collections.abc import Iterator
from typing import Any

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, Page, expect

from sandbox.stripe.tests.stand_in import StandIn, running
from sandbox.stripe.tests.test_checkout import params_of

WINDOWS: dict[str, dict[str, Any]] = {
    "desk": {"viewport": {"width": 1280, "height": 900}},
    "phone": {"viewport": {"width": 390, "height": 844}, "is_mobile": True, "has_touch": True},
}
WCAG = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa"]


# Of its own, since Playwright keeps an event loop in the thread of the tests.
@pytest.fixture
def stand_in() -> Iterator[StandIn]:
    with running() as it:
        yield it


@pytest.fixture(params=WINDOWS)
def any_visit(request: pytest.FixtureRequest, browser: Browser) -> Iterator[Page]:
    """An empty page; by its name it is skipped loudly where there is no browser."""
    # The pages allow no script at all, axe-core's included.
    context = browser.new_context(bypass_csp=True, **WINDOWS[request.param])
    context.set_default_timeout(15_000)
    page = context.new_page()
    failures: list[str] = []
    page.on("pageerror", lambda error: failures.append(str(error)))
    page.on("requestfailed", lambda failed: failures.append(failed.url))
    yield page
    context.close()
    assert failures == []


def expect_good_page(page: Page) -> None:
    """By day and by night."""
    for scheme in ("light", "dark"):
        page.emulate_media(color_scheme=scheme)
        result = Axe().run(page, options={"runOnly": WCAG, "resultTypes": ["violations"]})
        assert result.violations_count == 0, result.generate_report()
    width = page.evaluate("document.documentElement.scrollWidth - innerWidth")
    assert width <= 0, f"{page.url} is {width} px wider than the window"


def enter_card(page: Page, number: str) -> None:
    page.get_by_label("Card number").fill(number)
    page.get_by_label("Expiry (MM/YY)").fill("12/40")
    page.get_by_label("CVC").fill("123")
    page.get_by_label("Name on card").fill("Ada Buyer")


def test_a_buyer_is_declined_confirms_with_the_bank_and_has_paid(
    stand_in: StandIn, any_visit: Page
) -> None:
    page, client = any_visit, stand_in.client
    customer = client.v1.customers.create({"email": "owner@acme.test"})
    session = client.v1.checkout.sessions.create(
        params_of(
            customer=customer.id,
            customer_update={"name": "auto", "address": "auto"},
            billing_address_collection="required",
            tax_id_collection={"enabled": True},
            invoice_creation={"enabled": True},
            saved_payment_method_options={"payment_method_save": "enabled"},
            success_url=f"{stand_in.url}/health?session={{CHECKOUT_SESSION_ID}}",
        )
    )
    page.goto(session.url or "")
    expect_good_page(page)
    pay = page.get_by_role("button", name="Pay $20.00")

    pay.click()
    expect(page.get_by_role("alert")).to_be_visible()
    expect_good_page(page)

    enter_card(page, "4000 0000 0000 0002")
    page.get_by_label("Country").select_option("DE")
    page.get_by_label("Address", exact=True).fill("Weg 1")
    page.get_by_label("Postal code").fill("10115")
    page.get_by_label("City").fill("Berlin")
    page.get_by_label("Save this card").check()
    pay.click()
    expect(page.get_by_role("alert")).to_have_text("Your card was declined.")

    enter_card(page, "4000002760003184")
    pay.click()
    expect(page.get_by_role("heading", level=1)).to_contain_text("3-D Secure")
    expect_good_page(page)
    page.get_by_role("button", name="Complete").click()

    expect(page).to_have_url(f"{stand_in.url}/health?session={session.id}")
    done = client.v1.checkout.sessions.retrieve(
        session.id, {"expand": ["invoice", "payment_intent.latest_charge"]}
    )
    invoice: Any = done.invoice
    intent: Any = done.payment_intent
    assert done.payment_status == "paid"
    portal = client.v1.billing_portal.sessions.create(
        {"customer": customer.id, "return_url": "http://127.0.0.1:1/"}
    )
    for url in (invoice.hosted_invoice_url, intent.latest_charge.receipt_url, portal.url):
        page.goto(url)
        expect_good_page(page)


def test_a_saved_card_hides_the_fields_of_another_one(stand_in: StandIn, any_visit: Page) -> None:
    page, client = any_visit, stand_in.client
    customer = client.v1.customers.create({"email": "owner@acme.test"})
    card = client.v1.payment_methods.attach("pm_card_visa", {"customer": customer.id})
    client.v1.payment_methods.update(card.id, {"allow_redisplay": "always"})
    success = f"{stand_in.url}/health"
    session = client.v1.checkout.sessions.create(
        params_of(customer=customer.id, success_url=success)
    )
    page.goto(session.url or "")
    number = page.get_by_label("Card number")
    expect(number).to_be_hidden()
    page.get_by_label("Another card").check()
    expect(number).to_be_visible()
    expect_good_page(page)

    page.get_by_label("Visa ending in 4242").check()
    page.get_by_role("button", name="Pay $20.00").click()

    expect(page).to_have_url(success)
    assert client.v1.checkout.sessions.retrieve(session.id).payment_status == "paid"


def test_a_buyer_who_cancels_has_not_paid(stand_in: StandIn, any_visit: Page) -> None:
    cancel = f"{stand_in.url}/health"
    session = stand_in.client.v1.checkout.sessions.create(params_of(cancel_url=cancel))
    any_visit.goto(session.url or "")

    any_visit.get_by_role("link", name="Cancel").click()

    expect(any_visit).to_have_url(cancel)
    assert stand_in.client.v1.checkout.sessions.retrieve(session.id).status == "open"
