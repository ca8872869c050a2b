"""The month's close agrees with the ledgers, to the nano-dollar."""

import csv
import html
import re
from collections.abc import Iterator
from datetime import UTC, date, datetime
from decimal import Decimal
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
from django.core.management import call_command
from django.core.management.base import CommandError
from django.utils import timezone

from billing.business.closes import changed_since, close_of, total_of
from billing.business.models import LedgerMonth, MonthClose
from billing.business.rolling_up import roll_up
from billing.dashboard.tests.builders import USD, call, settle, text
from billing.ledger.models import JournalEntry
from billing.ledger.services import credit_account, grant_credit
from tenants.operators.models import OperatorAction
from tenants.registry.schemas import tenant_schema
from tenants.users.tests.builders import operator_browser, staff_browser


def this_month() -> date:
    return timezone.now().astimezone(UTC).date().replace(day=1)


@pytest.fixture
def closed(acme: Any) -> Any:
    """Given $25 in March 2026, $1 and 7 nUSD this month; has used $3 and 5 nUSD."""
    with tenant_schema(acme.code):
        JournalEntry.objects.update(created_at=datetime(2026, 3, 31, 23, 59, 59, tzinfo=UTC))
    grant_credit(tenant=acme.tenant, amount_nusd=USD + 7, reference="more", actor="test")
    call(acme, 3 * USD + 5)
    settle(acme)
    roll_up(acme.code, days=None)
    return acme


def of(cast: Any, month: date) -> Any:
    return next((close for close in close_of(month) if close.code == cast.code), None)


def test_a_month_begins_with_what_the_one_before_ended_with(closed: Any) -> None:
    now, march = of(closed, this_month()), of(closed, date(2026, 3, 1))

    assert (march.opening_nusd, march.moved["grant"]) == (0, 25 * USD)
    assert now.opening_nusd == march.closing_nusd == 25 * USD
    assert (now.moved["grant"], now.moved["usage"]) == (USD + 7, -(3 * USD + 5))
    with tenant_schema(closed.code):
        assert now.closing_nusd == credit_account().balance_nusd == 23 * USD + 2
    between = of(closed, date(2026, 5, 1))
    assert between.opening_nusd == between.closing_nusd == 25 * USD
    assert of(closed, date(2026, 2, 1)) is None


def test_the_file_says_the_same_and_adds_up(closed: Any) -> None:
    closed.tenant.name = "=cmd()"
    closed.tenant.save()
    answer = operator_browser().get(f"/admin/close/?month={this_month():%Y-%m}&format=csv")

    head, *rows = csv.reader(StringIO(answer.content.decode()))
    assert head[2] == "Owed before, USD"
    (row,) = (row for row in rows if row[1] == closed.code)
    assert row[0] == "'=cmd()"
    assert Decimal(row[-1]) == Decimal("23.000000002")
    sums = [sum(Decimal(row[at]) for row in rows[:-1]) for at in range(2, len(head))]
    assert sums == [Decimal(amount) for amount in rows[-1][2:]]
    total = total_of(close_of(this_month()))
    assert Decimal(rows[-1][-1]) == Decimal(total.closing_nusd) / USD


def test_the_page_is_for_those_who_may_see_money(closed: Any) -> None:
    page = text(operator_browser().get("/admin/close/"))
    assert "$23.000000002" in page
    assert staff_browser().get("/admin/close/").status_code == 403
    assert staff_browser("view_ledgermonth").get("/admin/close/").status_code == 200
    assert operator_browser().get("/admin/close/?month=1999-01").status_code == 404
    assert operator_browser().get("/admin/close/?month=x").status_code == 404


# --- handed over --------------------------------------------------------------------

MARCH = date(2026, 3, 1)
HAND_OVER = "/admin/close/hand-over/"


@pytest.fixture
def handed_over(closed: Any) -> Any:
    MonthClose.objects.all().delete()
    form = {"month": "2026-03", "reason": "To the bookkeeper"}
    operator_browser().post(HAND_OVER, form)
    return closed


def test_a_month_that_is_handed_over_is_remembered_once_and_tells_what_changes(
    handed_over: Any,
) -> None:
    made = MonthClose.objects.get(month=MARCH)
    assert made.rows[handed_over.code] == of(handed_over, MARCH).amounts
    page = text(operator_browser().get("/admin/close/?month=2026-03"))
    assert "Handed over on" in page
    assert "Nothing has changed in it since." in page

    grant_credit(tenant=handed_over.tenant, amount_nusd=9, reference="late", actor="test")
    with tenant_schema(handed_over.code):
        JournalEntry.objects.filter(reference__contains="late").update(
            created_at=datetime(2026, 3, 31, 23, 59, 59, tzinfo=UTC)
        )
    roll_up(handed_over.code, days=None)
    operator_browser().post(HAND_OVER, {"month": "2026-03", "reason": "Again"})

    made = MonthClose.objects.get(month=MARCH)
    changed = {row[1]: row[2:] for row in changed_since(made, close_of(MARCH))}
    assert changed == {
        "Given": (25 * USD, 25 * USD + 9),
        "Owed after": (25 * USD, 25 * USD + 9),
    }
    page = text(operator_browser().get("/admin/close/?month=2026-03"))
    assert "2 amounts changed" in page
    assert "$25.000000009" in page
    actions = OperatorAction.objects.filter(action="month.handed_over", subject="2026-03")
    assert actions.latest("id").reason == "To the bookkeeper"


def test_a_month_that_runs_is_not_handed_over(closed: Any) -> None:
    form = {"month": f"{this_month():%Y-%m}", "reason": "x"}
    page = text(operator_browser().post(HAND_OVER, form, follow=True))
    assert "is not over yet" in page
    assert not MonthClose.objects.filter(month=this_month()).exists()
    may_look = staff_browser("view_ledgermonth")
    assert may_look.post(HAND_OVER, {"month": "2026-03", "reason": "x"}).status_code == 403
    assert "Hand this month over" not in text(may_look.get("/admin/close/?month=2026-03"))


def test_the_command_writes_the_file_and_tells_the_sums(closed: Any, tmp_path: Path) -> None:
    MonthClose.objects.all().delete()
    out, file = StringIO(), tmp_path / "close.csv"
    with pytest.raises(CommandError, match="say to whom"):
        call_command("close_month", "2026-03", "--hand-over", stdout=out)
    call_command(
        *("close_month", "2026-03", "--csv", str(file), "--hand-over", "--reason", "Books"),
        stdout=out,
    )
    assert "Handed over on" in out.getvalue()
    rows = list(csv.reader(StringIO(file.read_text())))
    assert Decimal(rows[-1][-1]) == Decimal(total_of(close_of(MARCH)).closing_nusd) / USD
    with pytest.raises(CommandError, match="no month"):
        call_command("close_month", "soon")


@pytest.fixture
def nothing_booked(_database: None) -> Iterator[None]:
    """What other tests have booked comes back."""
    rows = list(LedgerMonth.objects.all())
    LedgerMonth.objects.all().delete()
    yield
    LedgerMonth.objects.bulk_create(rows)


@pytest.mark.usefixtures("nothing_booked")
def test_before_anything_is_booked_page_and_file_are_of_this_month() -> None:
    browser = operator_browser()
    (link,) = re.findall(r'href="(\?month=[^"]*)"', browser.get("/admin/close/").content.decode())
    told = browser.get(f"/admin/close/{html.unescape(link)}")
    assert told.status_code == 200
    assert told.content.decode().startswith("Tenant,Code,")
