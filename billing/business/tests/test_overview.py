"""The operator's first page: what it says is what the tenants' schemas say."""

from datetime import date, timedelta
from typing import Any

import pytest
from django.test import Client
from django.utils import timezone

from agentflare.partitions import partition_key
from agentflare.redis_store import get_redis
from billing.business import figures
from billing.business.health import queues
from billing.business.models import TenantDay, TenantState
from billing.business.rolling_up import roll_up_changed
from billing.dashboard.tests.builders import USD, call, settle, text
from tenants.users.tests.builders import operator_browser, staff_browser

SUDDEN = "spends far more today than in the week before"


def overview(client: Client, query: str = "") -> str:
    return text(client.get(f"/admin/{query}"))


def totals(since: date) -> figures.Figures:
    return figures.total_of(figures.by_day(since))


def day_of(cast: Any, *, days_ago: int = 0, **sums: int) -> None:
    none = dict.fromkeys(
        ("calls", "failed_calls", "input_tokens", "cached_input_tokens", "output_tokens"), 0
    )
    TenantDay.objects.create(
        day=figures.first_day(1) - timedelta(days=days_ago),
        tenant_code=cast.code,
        ai_model="m",
        **{**none, "cost_nusd": 0, "provider_cost_nusd": 0, **sums},
    )


def state_of(cast: Any, *, credit_nusd: int, auto_state: str = "") -> None:
    TenantState.objects.create(
        tenant_code=cast.code,
        credit_nusd=credit_nusd,
        ledger_version=1,
        refused_today=0,
        auto_state=auto_state,
        rolled_at=timezone.now(),
    )


def risks_of(cast: Any) -> list[tuple[str, bool]]:
    return [
        (risk.why, risk.is_urgent)
        for risk in figures.tenants_at_risk()
        if risk.tenant.code == cast.code
    ]


def test_a_settled_call_stands_in_every_sum_once(acme: Any) -> None:
    since = figures.first_day(30)
    before, days_before = totals(since), dict(figures.by_day(since))
    call(
        acme,
        3 * USD,
        provider_cost_nusd=USD,
        ai_model=f"model-{acme.code}",
        duration_ms=1_900,
        first_token_ms=120,
    )
    settle(acme)
    roll_up_changed(acme.code)

    after, days = totals(since), figures.by_day(since)
    assert after.cost_nusd - before.cost_nusd == 3 * USD
    assert after.margin_nusd - before.margin_nusd == 2 * USD
    assert len(days) == 30
    assert sum(each.calls - days_before[day].calls for day, each in days) == 1
    (row,) = (row for row in figures.by_model(since) if row.name == f"model-{acme.code}")
    assert row.figures.margin_percent == pytest.approx(200 / 3)
    assert row.speed is not None
    assert 100 < (row.speed.first_token_p50 or 0) <= 150
    assert 1_500 < (row.speed.answer_p95 or 0) <= 2_000


def test_the_page_says_it(acme: Any) -> None:
    call(acme, 3 * USD, ai_model=f"model-{acme.code}", status="upstream_failed")
    settle(acme)
    roll_up_changed(acme.code)
    client = operator_browser()

    page = overview(client)
    assert f"model-{acme.code}" in page
    assert "Provider cost" in page
    for days in ("7", "90", "nonsense"):
        assert f"model-{acme.code}" in overview(client, f"?days={days}")


def test_old_days_are_not_in_a_shorter_period(acme: Any) -> None:
    before = totals(figures.first_day(7)).calls
    day_of(acme, days_ago=7, calls=5)
    day_of(acme, days_ago=6, calls=3)

    assert totals(figures.first_day(7)).calls - before == 3


def test_who_may_not_see_money_sees_the_lists_they_may(acme: Any) -> None:
    assert "Provider cost" not in overview(staff_browser())
    assert "Provider cost" in overview(staff_browser("view_tenantday"))


@pytest.mark.parametrize(
    ("credit_nusd", "auto_state", "today_nusd", "before_nusd", "risks"),
    [
        (100 * USD, "", USD, 7 * USD, []),
        (100 * USD, "ok", 0, 0, []),
        (100 * USD, "failing", 0, 0, [("auto-recharge fails", True)]),
        (0, "", 0, 0, []),
        (
            0,
            "",
            8 * USD,
            0,
            [("out of credit", True), (SUDDEN, False)],
        ),
        (2 * USD, "", USD, 7 * USD, [("credit for less than 3 days", False)]),
        (USD // 2, "", USD, 7 * USD, [("credit for less than 3 days", True)]),
        (
            100 * USD,
            "",
            6 * USD,
            7 * USD,
            [(SUDDEN, False)],
        ),
    ],
)
def test_tenants_at_risk(
    acme: Any,
    credit_nusd: int,
    auto_state: str,
    today_nusd: int,
    before_nusd: int,
    risks: list[tuple[str, bool]],
) -> None:
    state_of(acme, credit_nusd=credit_nusd, auto_state=auto_state)
    day_of(acme, cost_nusd=today_nusd)
    day_of(acme, days_ago=3, cost_nusd=before_nusd)

    assert risks_of(acme) == risks


def test_what_waits_and_what_was_buried_is_told(acme: Any) -> None:
    call(acme, 5)
    before = queues()
    assert before.waiting >= 1
    name = partition_key(0, "dead_letters")
    get_redis().xadd(name, {"event": "broken"})
    try:
        assert queues().dead_letters == before.dead_letters + 1
        assert "Dead letters" in overview(operator_browser())
    finally:
        get_redis().delete(name)
    settle(acme)
