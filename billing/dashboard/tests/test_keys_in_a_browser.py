"""API keys in a real Chromium."""

import re
import time
from typing import Any

import requests
from playwright.sync_api import expect


def ask(gateway: Any, key: str) -> int:
    body = {"model": "llama-3.3-70b-fast", "messages": [{"role": "user", "content": "Hello"}]}
    headers = {"Authorization": f"Bearer {key}"}
    url = f"{gateway.base_url}/chat/completions"
    return requests.post(url, json=body, headers=headers, timeout=30).status_code


def is_refused_soon(gateway: Any, key: str) -> bool:
    """Within a second, in every process."""
    deadline = time.monotonic() + 1
    while ask(gateway, key) != 401:
        if time.monotonic() > deadline:
            return False
    return True


def test_a_key_is_made_used_rotated_and_revoked(gateway: Any, any_visit: Any) -> None:
    cast = gateway.cast()
    any_visit.sign_in(cast.owner)
    page = any_visit.goto(f"/t/{cast.tenant.slug}/keys/")
    any_visit.expect_good_page()

    page.get_by_role("link", name="New key").click()
    any_visit.expect_good_page()
    page.get_by_label("Name", exact=True).fill("shop")
    page.get_by_label("Budget a day, $").fill("2.50")
    page.get_by_label("Search models").fill("llama 70b")
    page.get_by_label("llama-3.3-70b-fast").check()
    page.get_by_role("button", name="Create the key").click()

    expect(page.get_by_role("heading", level=1)).to_have_text("Copy your new key now")
    any_visit.expect_good_page()
    key = page.locator("#new-key").inner_text().strip()
    assert ask(gateway, key) == 200

    page.get_by_role("link", name="I have it").click()
    expect(page.get_by_text("no limit of its own").first).to_be_visible()
    expect(page.get_by_text("of $2.50")).to_be_visible()
    any_visit.expect_good_page()

    page.get_by_role("button", name="Rotate").click()
    dialog = page.get_by_role("dialog", name="Rotate")
    dialog.get_by_label("How long the old key works on").select_option("0")
    dialog.get_by_role("button", name="Rotate").click()
    new = page.locator("#new-key").inner_text().strip()
    assert new != key
    assert is_refused_soon(gateway, key)
    assert ask(gateway, new) == 200

    page.get_by_role("link", name="I have it").click()
    page.get_by_role("button", name="Revoke").click()
    page.get_by_role("button", name="Keep it").click()
    assert ask(gateway, new) == 200
    page.get_by_role("button", name="Revoke").click()
    page.get_by_role("dialog").get_by_role("button", name="Revoke").click()
    expect(page.get_by_text("is revoked: its calls are refused")).to_be_visible()
    assert is_refused_soon(gateway, new)


def test_a_mistake_is_told_beside_its_field_and_what_was_filled_in_stays(
    gateway: Any, visit: Any
) -> None:
    cast = gateway.cast()
    visit.sign_in(cast.owner)
    page = visit.goto(f"/t/{cast.tenant.slug}/keys/new/")

    page.get_by_label("Name", exact=True).fill("shop")
    page.get_by_label("Addresses it may be used from").fill("here")
    page.get_by_role("button", name="Create the key").click()

    expect(page.get_by_text("is no address and no range")).to_be_visible()
    expect(page.get_by_label("Name", exact=True)).to_have_value("shop")
    visit.expect_good_page()
    # Chromium notes every answer that is no 200.
    visit.complaints = [text for text in visit.complaints if "422" not in text]


def test_a_key_is_found_and_changed_by_keyboard(gateway: Any, visit: Any) -> None:
    cast = gateway.cast()
    visit.sign_in(cast.owner)
    page = visit.goto(f"/t/{cast.tenant.slug}/keys/")

    page.get_by_role("link", name="test").focus()
    page.keyboard.press("Enter")
    page.get_by_role("link", name="Change").focus()
    page.keyboard.press("Enter")
    page.get_by_label("Requests per minute").first.fill("30")
    page.keyboard.press("Enter")

    expect(page.get_by_text("Saved. It holds from this second on.")).to_be_visible()
    expect(page.get_by_text(re.compile("none → 30"))).to_be_visible()
