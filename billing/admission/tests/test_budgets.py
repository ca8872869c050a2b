"""What a key may spend in a day, a month and its life."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from django.db import connection

from agentflare.errors import KeyBudgetError
from agentflare.partitions import partition_of
from agentflare.redis_store import get_redis
from billing.admission import gate
from billing.admission.live_holds import Hold
from billing.admission.rules import Rules
from billing.admission.services import admit, capture
from billing.admission.tests.builders import USD, event
from billing.invariants import check_ledger
from billing.settlement.services import settle_partition
from billing.usage.budgets import spent_by
from tenants.limits import Budgets
from tenants.registry.schemas import tenant_schema

NOW = datetime.now(UTC)


def spend(cast: Any, amount_nusd: int, **fields: Any) -> Hold:
    """A call that costs so much, captured and not settled yet."""
    fields = {"started_at": NOW.timestamp(), **fields}
    hold = admit(event=event(cast, amount_nusd, **fields))
    capture(hold, hold.event.with_(status="completed", cost_nusd=amount_nusd))
    return hold


def settle(cast: Any) -> None:
    settle_partition(partition=partition_of(cast.code))


def refusal(cast: Any, budgets: Budgets, amount_nusd: int = 1) -> KeyBudgetError:
    with pytest.raises(KeyBudgetError) as refused:
        admit(event=event(cast, amount_nusd), rules=Rules(budgets=budgets))
    return refused.value


@pytest.mark.parametrize("period", ["day", "month", "life"])
@pytest.mark.parametrize("settled", [False, True])
def test_what_was_spent_counts_booked_or_not(acme: Any, period: str, settled: bool) -> None:
    budgets = Budgets(**{f"{period}_nusd": 10})
    spend(acme, 8)
    if settled:
        settle(acme)

    error = refusal(acme, budgets, 3)

    assert (error.status, error.type, error.code) == (
        429,
        "insufficient_quota",
        "key_budget_exceeded",
    )
    assert error.headers == {"x-should-retry": "false"}
    assert "may spend $0.000000010" in error.message
    assert "$0.000000008 is spent" in error.message
    assert error.available_nusd == 2
    admit(event=event(acme, 2), rules=Rules(budgets=budgets))


def test_what_running_calls_hold_counts_and_may_be_waited_for(acme: Any) -> None:
    rules = Rules(budgets=Budgets(day_nusd=10))
    hold = admit(event=event(acme, 8), rules=rules)

    error = refusal(acme, rules.budgets, 3)

    assert error.headers["retry-after"] == "1"
    assert "$0.000000008 is held by its running calls" in error.message
    capture(hold, hold.event.with_(cost_nusd=1))
    admit(event=event(acme, 9), rules=rules)


def test_a_budget_that_is_refused_holds_and_spends_nothing(acme: Any) -> None:
    refusal(acme, Budgets(life_nusd=10), 11)

    keys = gate.HoldKeys.of(event(acme, 1))
    assert get_redis().hget(keys.spend, "held") is None
    known = gate.read(acme.code)
    assert known is not None
    assert known.held == 0


def test_yesterday_and_last_month_are_over(acme: Any) -> None:
    spend(acme, 8, started_at=(NOW - timedelta(days=1)).timestamp())
    spend(acme, 8, started_at=(NOW - timedelta(days=40)).timestamp())
    settle(acme)

    with tenant_schema(acme.code):
        spent = spent_by(["abcdefgh"])["abcdefgh"]
    assert spent.day_nusd == 0
    assert spent.life_nusd == 16
    admit(event=event(acme, 10), rules=Rules(budgets=Budgets(day_nusd=10)))
    refusal(acme, Budgets(life_nusd=10))


def test_a_new_day_begins_while_the_old_sums_stand_in_redis(
    acme: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    rules = Rules(budgets=Budgets(day_nusd=10, month_nusd=12))
    spend(acme, 9)
    settle(acme)
    refusal(acme, rules.budgets, 2)
    monkeypatch.setattr(gate, "periods", lambda: ("29991231", "299912"))

    admit(event=event(acme, 10), rules=rules)


def test_keys_do_not_share_budgets_but_a_line_of_keys_does(acme: Any) -> None:
    rules = Rules(budgets=Budgets(life_nusd=10))
    spend(acme, 9, key_id="oldkey00", line_id="oldkey00")

    admit(event=event(acme, 10, key_id="another0"), rules=rules)
    with pytest.raises(KeyBudgetError):
        admit(event=event(acme, 2, key_id="newkey00", line_id="oldkey00"), rules=rules)


def test_sums_that_redis_has_lost_come_back_from_the_ledger(acme: Any) -> None:
    hold = spend(acme, 9)
    settle(acme)
    get_redis().delete(hold.keys.spend)

    error = refusal(acme, Budgets(life_nusd=10), 2)

    assert error.available_nusd == 1


def test_a_budget_is_not_overrun_by_calls_that_race(acme: Any) -> None:
    from concurrent.futures import ThreadPoolExecutor

    rules = Rules(budgets=Budgets(day_nusd=10 * 7))

    def call(_: int) -> bool:
        try:
            admit(event=event(acme, 7), rules=rules)
        except KeyBudgetError:
            return False
        finally:
            connection.close()  # the pool has fewer than there are threads
        return True

    with ThreadPoolExecutor(16) as pool:
        assert sum(pool.map(call, range(60))) == 10


def test_the_audit_sees_sums_of_keys_that_are_wrong(acme: Any) -> None:
    from billing.usage.models import KeySpend

    spend(acme, 5 * USD)
    settle(acme)
    assert list(check_ledger(acme.tenant)) == []

    with tenant_schema(acme.code):
        KeySpend.objects.filter(period="life").update(cost_nusd=1)

    (fault,) = check_ledger(acme.tenant)
    assert "what keys have spent" in fault
