"""The overview in a real Chromium."""

from typing import Any

from playwright.sync_api import expect


def test_a_member_finds_the_way_to_the_overview(gateway: Any, any_visit: Any) -> None:
    cast = gateway.cast()
    any_visit.sign_in(cast.owner)

    page = any_visit.goto("/")

    expect(page).to_have_url(f"{gateway.url}/t/{cast.tenant.slug}/")
    expect(page.get_by_role("heading", name="Make your first call")).to_be_visible()
    any_visit.expect_good_page()
