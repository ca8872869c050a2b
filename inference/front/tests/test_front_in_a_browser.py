"""The pages of the front in a real browser: light, dark, on a phone."""

from typing import Any

from playwright.sync_api import expect


def test_the_front_leads_to_prices_and_to_an_account(acme: Any, any_visit: Any) -> None:
    any_visit.goto("/")
    any_visit.expect_good_page()

    page = any_visit.page
    page.get_by_role("main").get_by_role("link", name="Models and prices").click()
    expect(page.get_by_role("heading", name="Models", exact=True)).to_be_visible()
    any_visit.expect_good_page()
    page.get_by_label("Search").fill("whisper")
    expect(page.get_by_role("link", name="whisper", exact=True)).to_be_visible()
    expect(page.get_by_role("link", name="bge-m3")).to_have_count(0)
    page.get_by_role("link", name="whisper", exact=True).click()
    expect(page.get_by_role("heading", name="What it costs")).to_be_visible()
    any_visit.expect_good_page()
    page.get_by_role("link", name="Create an account").click()
    expect(page.get_by_role("heading", name="Create an account")).to_be_visible()
