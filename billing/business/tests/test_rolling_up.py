"""Sums over all tenants are what their schemas say, whenever they are made."""

from datetime import UTC, date, datetime, timedelta
from typing import Any

import pytest
from django.db.models import Sum
from django.test import Client
from django.utils import timezone

from agentflare.partitions import partition_of
from billing.business.latency import BOUNDS_MS, percentile_ms
from billing.business.models import Latency, LedgerMonth, TenantDay, TenantEnds, TenantState
from billing.business.rolling_up import codes_to_roll_up, forget_old, roll_up, roll_up_changed
from billing.dashboard.tests.builders import USD, call, settle
from billing.ledger.models import JournalEntry
from billing.ledger.services import credit_account, grant_credit
from billing.usage.models import HourlyUsage, Status
from billing.usage.refusals import save_refusals
from tenants.registry.schemas import tenant_schema


def days_of(cast: Any) -> list[tuple[str, int, int, int]]:
    rows = TenantDay.objects.filter(tenant_code=cast.code).order_by("ai_model")
    return [(row.ai_model, row.calls, row.cost_nusd, row.provider_cost_nusd) for row in rows]


def months_of(cast: Any) -> dict[str, int]:
    rows = LedgerMonth.objects.filter(tenant_code=cast.code)
    return {row.kind: row.amount_nusd for row in rows}


def test_a_days_calls_are_summed_by_model(acme: Any, globex: Any) -> None:
    for _ in range(3):
        call(acme, USD, provider_cost_nusd=USD // 2)
    call(acme, 5, ai_model="bge-m3")
    call(globex, 7)
    settle(acme)
    settle(globex)

    assert roll_up_changed(acme.code)
    assert days_of(acme) == [
        ("bge-m3", 1, 5, 0),
        ("llama-3.3-70b-fast", 3, 3 * USD, 3 * USD // 2),
    ]
    assert days_of(globex) == []


def test_a_repeat_changes_nothing_and_what_is_new_is_added_once(acme: Any) -> None:
    call(acme, 1)
    settle(acme)
    assert roll_up_changed(acme.code)
    assert not roll_up_changed(acme.code)
    roll_up(acme.code)
    roll_up(acme.code, days=None)
    assert sum(cost for *_, cost, _ in days_of(acme)) == 1

    call(acme, 2)
    settle(acme)
    assert roll_up_changed(acme.code)
    assert sum(cost for *_, cost, _ in days_of(acme)) == 3


def test_what_was_booked_late_for_an_old_day_comes_at_night(acme: Any) -> None:
    call(acme, 1)
    settle(acme)
    roll_up_changed(acme.code)
    with tenant_schema(acme.code):
        row = HourlyUsage.objects.get()
        HourlyUsage.objects.create(
            hour=row.hour - timedelta(days=9),
            key_id=row.key_id,
            ai_model="old",
            calls=1,
            cost_nusd=4,
        )
    roll_up(acme.code, days=1)
    assert [name for name, *_ in days_of(acme)] == ["llama-3.3-70b-fast"]
    roll_up(acme.code)
    assert [name for name, *_ in days_of(acme)] == ["llama-3.3-70b-fast", "old"]


def test_failures_and_refusals_are_told_apart(acme: Any) -> None:
    call(acme, 0, status=Status.UPSTREAM_FAILED)
    settle(acme)
    roll_up_changed(acme.code)
    Client(HTTP_AUTHORIZATION=f"Bearer {acme.key}").post(
        "/v1/chat/completions", {"model": "nonsense"}, content_type="application/json"
    )
    save_refusals(partition_of(acme.code))

    assert roll_up_changed(acme.code), "a refusal leaves nothing in the ledger, and is news"
    ends = TenantEnds.objects.filter(tenant_code=acme.code).order_by("is_refused")
    assert [(row.is_refused, row.end, row.calls) for row in ends] == [
        (False, "upstream_failed", 1),
        (True, "missing_required_parameter", 1),
    ]


def test_months_of_the_ledger_add_up_to_the_balance(acme: Any) -> None:
    call(acme, 3 * USD)
    settle(acme)
    roll_up_changed(acme.code)
    with tenant_schema(acme.code):
        JournalEntry.objects.filter(kind="grant").update(
            created_at=datetime(2026, 1, 31, 23, 59, tzinfo=UTC)
        )
    grant_credit(tenant=acme.tenant, amount_nusd=USD, reference="again", actor="test")
    roll_up(acme.code, days=None)

    assert months_of(acme)["usage"] == -3 * USD
    january = LedgerMonth.objects.get(tenant_code=acme.code, month=date(2026, 1, 1))
    assert (january.kind, january.amount_nusd) == ("grant", 25 * USD)
    every = LedgerMonth.objects.filter(tenant_code=acme.code)
    with tenant_schema(acme.code):
        balance = credit_account().balance_nusd
    assert every.aggregate(sum=Sum("amount_nusd"))["sum"] == balance == 23 * USD
    state = TenantState.objects.get(pk=acme.code)
    assert state.credit_nusd == balance
    assert state.last_call_at is not None


def test_latencies_are_counted_by_bucket_and_forgotten(acme: Any) -> None:
    for duration_ms, first_token_ms in ((25, None), (26, 10), (999_999, 100)):
        call(acme, 1, duration_ms=duration_ms, first_token_ms=first_token_ms)
    call(acme, 0, status=Status.UPSTREAM_FAILED, duration_ms=5)
    settle(acme)
    roll_up_changed(acme.code)

    counts = Latency.objects.filter(tenant_code=acme.code)
    assert dict(counts.filter(what="answer").values_list("bucket", "calls")) == {
        0: 1,
        1: 1,
        len(BOUNDS_MS): 1,
    }
    assert dict(counts.filter(what="first_token").values_list("bucket", "calls")) == {0: 1, 2: 1}
    counts.update(hour=timezone.now() - timedelta(days=16))
    forget_old()
    assert not counts.exists()


@pytest.mark.parametrize(
    ("counts", "share", "ms"),
    [
        ({}, 0.5, None),
        ({0: 10}, 0.5, 12),
        ({0: 1, 9: 99}, 0.5, 874),
        ({2: 100}, 1.0, 100),
        ({0: 1, len(BOUNDS_MS): 9}, 0.5, 120_000),
    ],
)
def test_percentiles_of_counts(counts: dict[int, int], share: float, ms: int | None) -> None:
    assert percentile_ms(counts, share) == ms


def test_a_deleted_workspace_keeps_the_sums_it_had(acme: Any) -> None:
    from tenants.workspaces.models import Closure

    assert acme.code in codes_to_roll_up()
    Closure.objects.create(tenant=acme.tenant, closed_by="owner", deleted_at=timezone.now())
    assert acme.code not in codes_to_roll_up()
