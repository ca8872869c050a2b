"""All tenants' sums in one table, and Cloudflare's beside them."""

import logging
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from django.contrib.admin.models import LogEntry
from django.db import connection
from django.test import Client

from agentflare.ids import first_uuid7, uuid7
from billing import invariants
from billing.admission.tests.builders import event
from billing.archive.services import archive_usage
from billing.reconciliation.comparing import (
    compare,
    days_to_look_at,
    find_drift,
    is_complete,
    note_problem,
)
from billing.reconciliation.models import UpstreamDay
from billing.reconciliation.sums import roll_up
from billing.settlement.services import book
from billing.usage.models import UsageRecord
from tenants.operators.models import OperatorAction
from tenants.registry.schemas import tenant_schema
from tenants.users.tests.builders import operator_browser

PAGE = "/admin/reconciliation/upstreamday/"

# The last one that is complete: Cloudflare takes two hours.
LAST_DAY = (datetime.now(UTC) - timedelta(hours=26)).date()
MODEL = "@cf/x/summed"
NEURON = 11_000


@pytest.fixture(autouse=True)
def _no_drift_is_left(_database: None) -> Iterator[None]:
    """All tenants are in one table, and an audit tells of it."""
    yield
    UpstreamDay.objects.all().delete()


@pytest.fixture
def account() -> str:
    """Its name: of this test alone."""
    return f"a-{uuid4().hex[:12]}"


def use(cast: Any, account: str, *neurons: int, day: date = LAST_DAY, **fields: Any) -> None:
    start = datetime(day.year, day.month, day.day, 12, tzinfo=UTC).timestamp()
    with tenant_schema(cast.code):
        book(
            event(
                cast,
                1,
                started_at=start,
                upstream=account,
                provider_cost_nusd=count * NEURON,
                **{"upstream_model": MODEL, **fields},
            )
            for count in neurons
        )


def sums(account: str, day: date = LAST_DAY, **merged: str) -> dict[str, tuple[int, Decimal]]:
    roll_up([day], account_of=lambda name: merged.get(name, name))
    rows = UpstreamDay.objects.filter(upstream=account, day=day)
    return {row.upstream_model: (row.calls, row.our_neurons) for row in rows}


def compared(account: str, told: Mapping[str, float | str]) -> dict[str, UpstreamDay]:
    neurons = {model: Decimal(str(count)) for model, count in told.items()}
    rows = compare(upstream=account, day=LAST_DAY, neurons=neurons)
    return {row.upstream_model: row for row in rows}


def test_sums_of_all_tenants_by_account_model_and_day(acme: Any, globex: Any, account: str) -> None:
    use(acme, account, 3, 4)
    use(globex, account, 5)
    use(globex, account, 6, upstream_model="@cf/x/other")
    use(globex, account, 7, day=LAST_DAY - timedelta(days=1))
    use(globex, "", 8)

    assert sums(account) == {MODEL: (3, 12), "@cf/x/other": (1, 6)}
    assert [*invariants.check_ledger(acme.tenant), *invariants.check_ledger(globex.tenant)] == []


def test_rolled_up_again_they_are_the_same_and_grow(acme: Any, account: str) -> None:
    use(acme, account, 3)
    assert sums(account) == sums(account) == {MODEL: (1, 3)}

    use(acme, account, 4)
    assert sums(account) == {MODEL: (2, 7)}


def test_two_names_of_one_account_are_one(acme: Any, account: str) -> None:
    use(acme, account, 3)
    use(acme, f"{account}-b", 4)

    assert sums(account, **{f"{account}-b": account}) == {MODEL: (2, 7)}


@pytest.mark.parametrize(
    ("told", "state"),
    [
        ("1000", "within"),
        ("1010", "within"),  # 10 neurons more
        ("1011", "beyond"),
        ("989", "beyond"),
        ("991", "within"),
        ("0", "beyond"),
    ],
)
def test_tolerance_in_neurons_and_per_cent(
    acme: Any, account: str, told: str, state: str, settings: Any
) -> None:
    settings.RECONCILE_TOLERANCE_PERCENT = Decimal(1)
    settings.RECONCILE_TOLERANCE_NEURONS = Decimal("9.5")
    use(acme, account, 1000)
    sums(account)

    row = compared(account, {MODEL: told})[MODEL]

    assert (row.state, row.difference) == (state, Decimal(told) - 1000)
    assert (row.difference_percent is None) == (told == "0")
    assert row.compared_at is not None


def audit_no_tenant(monkeypatch: pytest.MonkeyPatch) -> None:
    """There are as many as tests have run, and they say nothing of drift."""
    for name in ("check_ledger", "check_gate"):
        monkeypatch.setattr(invariants, name, lambda *_, **__: iter(()))


def test_what_only_one_side_knows_is_drift_too(
    acme: Any, account: str, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    use(acme, account, 1000)
    sums(account)
    with caplog.at_level(logging.WARNING):
        rows = compared(account, {"@cf/x/unknown": 500})

    assert {model: row.state for model, row in rows.items()} == {
        MODEL: "beyond",
        "@cf/x/unknown": "beyond",
    }
    assert "@cf/x/unknown: Cloudflare 500.000, ours 0.000 neurons" in caplog.text
    lines = [line for line in find_drift() if account in line]
    assert len(lines) == 2
    audit_no_tenant(monkeypatch)
    assert set(lines) <= set(invariants.check_all())


def test_looked_at_again_late_figures_heal_it(acme: Any, account: str) -> None:
    use(acme, account, 1000)
    sums(account)
    assert compared(account, {MODEL: 600})[MODEL].state == "beyond"

    assert compared(account, {MODEL: 1000})[MODEL].state == "within"
    assert not [line for line in find_drift() if account in line]
    assert UpstreamDay.objects.filter(upstream=account).count() == 1


def test_ours_that_has_changed_since_is_to_be_compared_again(acme: Any, account: str) -> None:
    use(acme, account, 1000)
    sums(account)
    compared(account, {MODEL: 1000})
    use(acme, account, 1000)
    sums(account)

    row = UpstreamDay.objects.get(upstream=account)
    assert (row.state, row.difference, row.cloudflare_neurons) == ("unknown", None, 1000)


def test_what_is_explained_stays_so_until_it_is_right(acme: Any, account: str) -> None:
    use(acme, account, 1000)
    sums(account)
    compared(account, {MODEL: 600})
    UpstreamDay.objects.filter(upstream=account).update(state="explained")

    assert compared(account, {MODEL: 601})[MODEL].state == "explained"
    assert not [line for line in find_drift() if account in line]
    assert compared(account, {MODEL: 1000})[MODEL].state == "within"


def test_a_problem_is_shown_and_keeps_what_is_known(acme: Any, account: str) -> None:
    use(acme, account, 1000)
    sums(account)
    compared(account, {MODEL: 1000})
    note_problem(upstream=account, day=LAST_DAY, problem="status 403")

    row = UpstreamDay.objects.get(upstream=account)
    assert (row.problem, row.state) == ("status 403", "within")
    assert compared(account, {MODEL: 1000})[MODEL].problem == ""


def test_days_that_are_over_are_looked_at_for_a_while(settings: Any) -> None:
    settings.RECONCILE_DAYS = 3

    assert days_to_look_at(today=date(2026, 3, 2)) == [
        date(2026, 3, 1),
        date(2026, 2, 28),
        date(2026, 2, 27),
    ]


# --- days that are not complete -----------------------------------------------------


def test_what_differs_on_a_day_that_is_not_complete_waits_and_is_no_drift(
    acme: Any, account: str, caplog: pytest.LogCaptureFixture
) -> None:
    today = datetime.now(UTC).date()
    use(acme, account, 1000, day=today)
    sums(account, today)
    with caplog.at_level(logging.WARNING):
        (row,) = compare(upstream=account, day=today, neurons={MODEL: Decimal(600)})

    assert (row.state, row.difference) == ("waiting", -400)
    assert account not in caplog.text
    assert not [line for line in find_drift() if account in line]
    (row,) = compare(upstream=account, day=today, neurons={MODEL: Decimal(1000)})
    assert row.state == "within"


def test_a_day_is_complete_two_hours_after_its_end() -> None:
    day = date(2026, 3, 1)

    assert not is_complete(day, now=datetime(2026, 3, 1, 23, tzinfo=UTC))
    assert not is_complete(day, now=datetime(2026, 3, 2, 1, 59, tzinfo=UTC))
    assert is_complete(day, now=datetime(2026, 3, 2, 2, 0, tzinfo=UTC))


# --- several at once ----------------------------------------------------------------


def test_by_eight_at_once_there_is_one_row_each(acme: Any, account: str) -> None:
    models = [f"@cf/x/{number}" for number in range(20)]
    for model in models:
        use(acme, account, 50, upstream_model=model)

    def work(number: int) -> None:
        ordered = models if number % 2 else models[::-1]
        try:
            roll_up([LAST_DAY], account_of=lambda name: name)
            told = {name: Decimal(50) for name in ordered}
            compare(upstream=account, day=LAST_DAY, neurons=told)
        finally:
            connection.close()

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(work, range(16)))

    rows = UpstreamDay.objects.filter(upstream=account)
    assert sorted(row.upstream_model for row in rows) == sorted(models)
    assert {(row.state, row.our_neurons, row.calls) for row in rows} == {("within", 50, 1)}


def test_drift_of_one_account_is_not_the_others(acme: Any, account: str) -> None:
    use(acme, account, 1000)
    use(acme, f"{account}-b", 1000)
    sums(account)
    compared(account, {MODEL: 500})
    compare(upstream=f"{account}-b", day=LAST_DAY, neurons={MODEL: Decimal(1000)})

    (line,) = [line for line in find_drift() if account in line]
    assert f"{account} {MODEL}" in line


# --- retention ----------------------------------------------------------------------


def test_sums_stay_when_their_calls_are_archived(
    acme: Any, account: str, tmp_path: Path, settings: Any
) -> None:
    settings.ARCHIVE_DIR = str(tmp_path)
    day = LAST_DAY - timedelta(days=3)
    at = datetime(day.year, day.month, day.day, 12, tzinfo=UTC)
    request_id = f"{first_uuid7(at).int | uuid7().int & 2**62 - 1:032x}"
    use(acme, account, 30, day=day, request_id=request_id)
    assert sums(account, day) == {MODEL: (1, 30)}

    archive_usage(tenant=acme.tenant, before=datetime.now(UTC) - timedelta(days=2))

    with tenant_schema(acme.code):
        assert not UsageRecord.objects.exists()
    assert sums(account, day) == {MODEL: (1, 30)}
    assert list(invariants.check_ledger(acme.tenant)) == []


# --- the operator's page ------------------------------------------------------------


@pytest.fixture
def operator(_database: None) -> Client:
    return operator_browser()


def test_an_empty_page_says_what_to_do(operator: Client) -> None:
    # A running worker of other tests may have rolled up meanwhile.
    UpstreamDay.objects.all().delete()
    page = operator.get(PAGE).content.decode()

    assert "Nothing was compared yet" in page
    assert "manage.py reconcile --day" in page


def test_the_operator_sees_rows_filters_them_and_marks_them(
    acme: Any, account: str, operator: Client
) -> None:
    use(acme, account, 1000)
    sums(account)
    row = compared(account, {MODEL: 600})[MODEL]
    note_problem(upstream=account, day=LAST_DAY, problem="status 403: no <rights>")

    page = operator.get(f"{PAGE}?state__exact=beyond&upstream={account}").content.decode()
    for text in (account, "600.00", "1,000.00", "−400.00 (−$0.0044", "beyond tolerance"):
        assert text in page
    assert "no &lt;rights&gt;" in page
    assert MODEL not in operator.get(f"{PAGE}?state__exact=within").content.decode()
    assert 'name="reason"' in page
    form = {"action": "mark_explained", "_selected_action": [row.pk], "reason": " "}
    assert "say what explains it" in operator.post(PAGE, form, follow=True).content.decode()
    row.refresh_from_db()
    assert row.state == "beyond"
    answer = operator.post(PAGE, {**form, "reason": "A test of theirs"})
    assert answer.status_code == 302
    action = OperatorAction.objects.latest("pk")
    assert (action.action, action.reason) == ("reconciliation.explained", "A test of theirs")
    assert account in action.subject
    row.refresh_from_db()
    assert row.state == "explained"
    assert LogEntry.objects.filter(object_id=row.pk, change_message__contains=account).exists()


def test_tenants_owners_do_not_see_it(acme: Any, client: Client) -> None:
    client.force_login(acme.owner)

    assert client.get(PAGE).status_code == 302
