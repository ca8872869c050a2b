"""The catalogue in a real Chromium."""

from typing import Any

from playwright.sync_api import Browser, expect


def test_a_model_is_found_while_one_types(gateway: Any, any_visit: Any) -> None:
    cast = gateway.cast()
    any_visit.sign_in(cast.owner)
    page = any_visit.goto(f"/t/{cast.tenant.slug}/models/")
    any_visit.expect_good_page()

    page.get_by_label("Search").press_sequentially("oss-20 openai")
    expect(page.get_by_role("rowheader")).to_have_count(1)
    expect(page.get_by_label("Search")).to_be_focused()
    assert "q=oss-20" in page.url

    page.get_by_role("link", name="gpt-oss-20b").click()
    expect(page.get_by_role("heading", level=1)).to_have_text("gpt-oss-20b")
    page.get_by_text("Python", exact=True).click()
    expect(page.get_by_label("Python program").last).to_contain_text('model="gpt-oss-20b"')
    any_visit.expect_good_page()


def test_an_id_is_copied(gateway: Any, visit: Any) -> None:
    cast = gateway.cast()
    visit.sign_in(cast.owner)
    visit.context.grant_permissions(["clipboard-read", "clipboard-write"])
    page = visit.goto(f"/t/{cast.tenant.slug}/models/?q=bge-m3")

    page.get_by_role("button", name="Copy bge-m3").click()

    expect(page.get_by_text("Copied", exact=True).first).to_be_visible()
    assert page.evaluate("navigator.clipboard.readText()") == "bge-m3"


def test_the_search_works_without_scripts(gateway: Any, visit: Any, browser: Browser) -> None:
    cast = gateway.cast()
    visit.sign_in(cast.owner)
    state = visit.context.storage_state()
    context = browser.new_context(java_script_enabled=False, storage_state=state)
    page = context.new_page()
    page.goto(f"{gateway.url}/t/{cast.tenant.slug}/models/")

    page.get_by_label("Search").fill("whisper turbo")
    page.get_by_role("button", name="Show").click()

    expect(page.get_by_role("rowheader")).to_have_count(1)
    context.close()
