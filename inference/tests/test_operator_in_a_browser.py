"""The operator's pages in a real Chromium: by day, by night, on a phone, and by keyboard alone."""

import json
from datetime import UTC, datetime
from typing import Any
from uuid import uuid4

import pytest
from allauth.mfa.models import Authenticator
from playwright.sync_api import expect

from billing.prices.models import Markup
from billing.stripe.models import StripeEvent
from inference.tests.settled import say, settled_record
from tenants.announcements.models import Announcement
from tenants.registry.models import Tenant
from tenants.users.models import User

MODEL = "qwen-3-30b"
PAGES = (
    *("", "tenants/new/", "tenants/{code}/", "holds/", "close/", "disputes/", "settlement/"),
    *("dead-letters/", "prices/", f"prices/history/{MODEL}/", "prices/markup/add/"),
    *(f"prices/priceversion/add/?ai_model={MODEL}", "catalogue/compare/"),
    *(f"catalogue/notice/{MODEL}/", f"catalog/aimodel/{MODEL}/change/", "catalog/route/add/"),
    *("catalog/aimodel/", "upstream-health/", "upstreams/upstream/add/", "maintenance/"),
    *("registry/tenant/", "announcements/announcement/add/", "stripe/stripeevent/"),
    *("users/user/", "users/signin/", "operators/operatoraction/", "reconciliation/upstreamday/"),
)


@pytest.fixture
def operator(gateway: Any, visit: Any) -> User:
    """Signed in, with a second factor."""
    user = User.objects.create_superuser(f"op-{uuid4().hex[:8]}@ops.test")
    Authenticator.objects.create(user=user, type=Authenticator.Type.TOTP, data={})
    visit.sign_in(user)
    return user


@pytest.mark.timeout(300)
def test_every_page_is_good_by_day_by_night_and_on_a_phone(
    gateway: Any, visit: Any, operator: User
) -> None:
    cast = gateway.cast()
    gateway.chat(cast, say(tokens=3), model=MODEL)
    settled_record(cast)
    for path in PAGES:
        page = visit.goto("/admin/" + path.format(code=cast.code))
        expect(page.get_by_role("heading", level=1)).to_have_count(1)
        visit.expect_good_page_everywhere()


def test_a_tenant_is_suspended_and_resumed_by_keyboard(
    gateway: Any, visit: Any, operator: User
) -> None:
    cast = gateway.cast()
    page = visit.goto(f"/admin/tenants/{cast.code}/")
    form = page.locator("form[action$='/suspend/']")
    form.get_by_label("Reason, which").focus()
    page.keyboard.type("Unpaid invoice")
    page.keyboard.press("Enter")

    expect(page.get_by_text("suspended: Unpaid invoice")).to_be_visible()
    assert gateway.chat(cast, say(tokens=3), model=MODEL).status_code == 403
    visit.expect_good_page_everywhere()
    page.locator("form[action$='/resume/']").get_by_label("Reason").focus()
    page.keyboard.type("Paid")
    page.keyboard.press("Enter")
    expect(page.get_by_text("suspended: Unpaid invoice")).to_have_count(0)
    assert not Tenant.objects.get(code=cast.code).is_suspended


def test_credit_is_given_with_a_reason(gateway: Any, visit: Any, operator: User) -> None:
    cast = gateway.cast()
    page = visit.goto(f"/admin/tenants/{cast.code}/")
    form = page.locator("form[action$='/credit/']").first
    form.get_by_label("Dollars").fill("3.25")
    form.get_by_role("button").click()
    # The browser asks for what is missing: nothing was sent.
    assert page.evaluate("document.activeElement.name") == "reason"
    form.get_by_label("Reason").fill("Sorry for the outage")
    form.get_by_role("button").click()

    expect(page.locator("dt:has-text('Available') + dd")).to_have_text("$28.25")
    expect(page.get_by_text("Sorry for the outage").first).to_be_visible()


def test_a_markup_is_previewed_set_and_withdrawn(gateway: Any, visit: Any, operator: User) -> None:
    cast = gateway.cast()
    page = visit.goto("/admin/prices/markup/add/")
    page.get_by_label("AI model").select_option(MODEL)
    page.get_by_label("Tenant").fill(cast.code)
    page.get_by_label("Percent").fill("45")
    page.locator("[name=starts_at_0]").fill("2099-01-01")
    page.locator("[name=starts_at_1]").fill("00:00")
    page.get_by_label("Reason").fill("A contract")
    page.get_by_role("button", name="Save", exact=True).click()

    expect(page.get_by_text("Nothing is set yet")).to_be_visible()
    visit.expect_good_page_everywhere()
    assert not Markup.objects.filter(tenant_code=cast.code).exists()
    page.get_by_role("button", name="Set it").press("Enter")
    page.goto(f"{visit.base_url}/admin/prices/")
    row = page.get_by_role("row").filter(has_text=f"tenant {cast.code}")
    expect(row).to_contain_text("45 % from 2099-01-01")
    visit.expect_good_page_everywhere()
    row.get_by_label("Reason").fill("Not signed")
    row.get_by_role("button", name="Withdraw").click()
    expect(page.get_by_text("It will not start.")).to_be_visible()
    assert Markup.objects.get(tenant_code=cast.code).withdrawn_at


def test_an_announcement_is_seen_by_a_tenants_people(
    gateway: Any, visit: Any, operator: User
) -> None:
    cast = gateway.cast(name=f"mover{uuid4().hex[:6]}")
    words = f"We move on Sunday {uuid4().hex[:6]}"
    page = visit.goto("/admin/announcements/announcement/add/")
    page.get_by_label("Text").fill(words)
    # A search that is named, and used by keyboard.
    page.get_by_role("combobox", name="Tenant").press("Enter")
    page.keyboard.type(cast.code)
    page.locator(".select2-results__option--highlighted").filter(
        has_text=cast.tenant.name
    ).wait_for()
    page.keyboard.press("Enter")
    page.get_by_label("Reason").fill("The move")
    page.get_by_role("button", name="Save", exact=True).click()
    # The list is loaded with all its scripts before the operator's cookies go.
    page.wait_for_url("**/admin/announcements/announcement/")
    assert Announcement.objects.get(text=words).tenant_id == cast.tenant.pk

    visit.context.clear_cookies()
    visit.sign_in(cast.owner)
    page = visit.goto(f"/t/{cast.tenant.slug}/")
    expect(page.get_by_text(words)).to_be_visible()
    visit.expect_good_page_everywhere()


def test_an_upstream_is_called_once(gateway: Any, visit: Any, operator: User) -> None:
    page = visit.goto("/admin/upstream-health/")
    page.get_by_text("Test it").first.press("Enter")
    form = page.locator("form[action$='/test/']").first
    form.get_by_label("Reason of the test").fill("Is it well?")
    page.keyboard.press("Enter")
    expect(page.get_by_text("answered for")).to_be_visible()
    visit.expect_good_page_everywhere()


def test_a_stripe_event_is_looked_at_again(gateway: Any, visit: Any, operator: User) -> None:
    told = {"id": f"evt_{uuid4().hex[:12]}", "data": {"object": {"id": "cs_1"}}}
    event = StripeEvent.objects.create(
        event_id=told["id"],
        type="checkout.session.completed",
        payload=json.dumps(told),
        created_at=datetime.now(UTC),
        state=StripeEvent.State.FAILED,
        error="Stripe did not answer",
    )
    page = visit.goto(f"/admin/stripe/stripeevent/{event.pk}/change/")
    expect(page.get_by_text("Failed", exact=True)).to_be_visible()
    visit.expect_good_page_everywhere()
    form = page.locator("form[action$='/replay/']")
    form.get_by_label("Reason").fill("It answers again")
    form.get_by_role("button").click()
    expect(page.get_by_text("looked at again")).to_be_visible()


def test_a_month_is_taken_along_as_csv(gateway: Any, visit: Any, operator: User) -> None:
    page = visit.goto("/admin/close/")
    with page.expect_download() as download:
        page.get_by_role("link", name="CSV").first.click()
    rows = download.value.path().read_text().splitlines()
    assert rows[0].startswith("Tenant,Code,")
