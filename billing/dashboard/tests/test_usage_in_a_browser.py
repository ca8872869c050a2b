"""Overview and usage in a real Chromium."""

import re
import time
from typing import Any

from playwright.sync_api import expect

from billing.ledger.models import JournalEntry
from billing.usage.models import UsageRecord
from tenants.registry.schemas import tenant_schema


def wait_until_settled(cast: Any, count: int = 1) -> None:
    deadline = time.monotonic() + 30
    with tenant_schema(cast.code):
        while UsageRecord.objects.count() < count:
            assert time.monotonic() < deadline, "the worker did not settle"
            time.sleep(0.1)


def test_the_overview_notices_the_first_call_by_itself(gateway: Any, any_visit: Any) -> None:
    cast = gateway.cast()
    any_visit.sign_in(cast.owner)
    page = any_visit.goto(f"/t/{cast.tenant.slug}/")
    expect(page.get_by_role("heading", name="Make your first call")).to_be_visible()
    any_visit.expect_good_page()

    gateway.chat(cast, "Hello")

    # A look every three seconds, at what the worker has settled.
    expect(page.get_by_role("heading", name="Spend by model")).to_be_visible(timeout=20_000)
    any_visit.expect_good_page()


def test_a_call_is_followed_from_the_chart_to_its_ledger_entry(
    gateway: Any, any_visit: Any
) -> None:
    cast = gateway.cast()
    gateway.chat(cast, "Hello")
    gateway.chat(cast, "Hello", model="gpt-oss-20b")
    wait_until_settled(cast, 2)
    any_visit.sign_in(cast.owner)
    page = any_visit.goto(f"/t/{cast.tenant.slug}/usage/")
    any_visit.expect_good_page()

    page.get_by_label("Stacked", exact=True).select_option("by key")
    expect(page.get_by_role("heading", name="Spend by key")).to_be_visible()
    assert "group=key" in page.url
    page.get_by_text("Figures").click()
    any_visit.expect_good_page()
    page.go_back()
    expect(page.get_by_role("heading", name="Spend by model")).to_be_visible()

    page.get_by_role("link", name="Calls", exact=True).click()
    page.get_by_label("Model").select_option("gpt-oss-20b")
    rows = page.get_by_role("row").filter(has_text="gpt-oss-20b")
    expect(rows).to_have_count(1)
    expect(page.get_by_role("rowheader")).to_have_count(1)
    any_visit.expect_good_page()

    rows.get_by_role("link").click()
    expect(page.get_by_text("Estimate, held")).to_be_visible()
    any_visit.expect_good_page()
    with tenant_schema(cast.code):
        entries = list(JournalEntry.objects.filter(kind=JournalEntry.Kind.USAGE))
    told = re.search(r"entry (\d+) of", page.get_by_role("main").inner_text())
    assert told
    assert int(told[1]) in {entry.pk for entry in entries}


def test_a_refused_call_is_found_with_its_remedy(gateway: Any, any_visit: Any) -> None:
    cast = gateway.cast()
    answer = gateway.chat(cast, "Hello", model="gpt-nonsense")
    any_visit.sign_in(cast.owner)
    page = any_visit.goto(f"/t/{cast.tenant.slug}/usage/refused/")
    expect(page.get_by_text("model_not_found").first).to_be_visible()
    any_visit.expect_good_page()

    page = any_visit.goto(f"/t/{cast.tenant.slug}/usage/calls/")
    page.get_by_label("Request id").fill(answer.headers["x-request-id"])
    page.get_by_role("button", name="Show").click()

    expect(page.get_by_role("heading", level=1)).to_have_text("Refused: model_not_found")
    expect(page.get_by_text("Copy the model’s id")).to_be_visible()
    any_visit.expect_good_page()


def test_older_calls_come_below_without_a_new_page(gateway: Any, visit: Any) -> None:
    cast = gateway.cast()
    for number in range(51):
        gateway.chat(cast, f"Hello {number}", max_tokens=1)
    wait_until_settled(cast, 51)
    visit.sign_in(cast.owner)
    page = visit.goto(f"/t/{cast.tenant.slug}/usage/calls/")

    expect(page.get_by_role("rowheader")).to_have_count(50)
    page.get_by_role("link", name="Older calls").click()

    expect(page.get_by_role("rowheader")).to_have_count(51)
    expect(page.get_by_role("link", name="Older calls")).to_have_count(0)


def test_usage_comes_as_a_file(gateway: Any, visit: Any) -> None:
    cast = gateway.cast()
    gateway.chat(cast, "Hello")
    wait_until_settled(cast)
    visit.sign_in(cast.owner)
    page = visit.goto(f"/t/{cast.tenant.slug}/usage/calls/")

    with page.expect_download() as download:
        page.get_by_role("link", name="CSV").click()

    assert download.value.suggested_filename == "usage.csv"
    assert len(download.value.path().read_text().splitlines()) == 2
