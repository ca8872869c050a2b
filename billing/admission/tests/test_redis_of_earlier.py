"""Redis starts again with the data of earlier: a copy put back, a replica that lagged."""

import shutil
import time
from pathlib import Path
from typing import Any

import pytest

from agentflare.errors import (
    InsufficientCreditError,
    KeyBudgetError,
    RateLimitError,
    TenantSuspendedError,
)
from agentflare.partitions import partition_of
from agentflare.redis_store import breaker
from billing.admission import gate, live_holds, outage
from billing.admission.gate import Gate
from billing.admission.rules import Rules
from billing.admission.services import admit, books, capture, require_credit
from billing.admission.tests.builders import USD, event
from billing.invariants import check_gate
from billing.settlement.services import settle_partition
from tenants.limits import Budgets, Limits
from tenants.registry.services import suspend_tenant

BUDGETED = Rules(budgets=Budgets(life_nusd=10 * USD))


class Copy:
    """Of a Valkey's data at one moment."""

    def __init__(self, server: Any, folder: Path) -> None:
        self._server = server
        self._data = Path(server.folder)
        self._copy = folder / "copy"
        shutil.copytree(self._data, self._copy)

    def put_back(self, *, is_told: bool = True) -> None:
        self._server.kill()
        shutil.rmtree(self._data / "appendonlydir")
        shutil.copytree(self._copy / "appendonlydir", self._data / "appendonlydir")
        self._server.start_again()
        if not is_told:
            assert breaker.ask()
            return
        live_holds.look_at_redis()
        deadline = time.monotonic() + 15
        while not breaker.ask() or outage.is_on():
            assert time.monotonic() < deadline, "Redis does not admit again"
            time.sleep(0.05)


@pytest.fixture
def earlier(acme: Any, own_redis: Any, tmp_path_factory: pytest.TempPathFactory) -> Copy:
    """As Redis was when acme had all of its credit, and had just made a call."""
    spend(acme, 1, rules=BUDGETED)
    return Copy(own_redis, tmp_path_factory.mktemp("earlier"))


def spend(cast: Any, amount_nusd: int, **options: Any) -> None:
    hold = admit(event=event(cast, amount_nusd), **options)
    capture(hold, hold.event.with_(cost_nusd=amount_nusd, status="completed"))
    settle_partition(partition=partition_of(cast.code))


def test_credit_that_was_spent_since_is_not_lent_again(acme: Any, earlier: Copy) -> None:
    spend(acme, 24 * USD)

    earlier.put_back()

    with pytest.raises(InsufficientCreditError):
        admit(event=event(acme, 2 * USD))
    assert books(acme.tenant) == Gate(posted=1 * USD - 1, held=0, unsettled=0)


def test_a_budget_that_was_spent_since_is_not_free_again(acme: Any, earlier: Copy) -> None:
    spend(acme, 9 * USD, rules=BUDGETED)

    earlier.put_back()

    with pytest.raises(KeyBudgetError):
        admit(event=event(acme, 2 * USD), rules=BUDGETED)


def test_who_was_suspended_since_stays_suspended(acme: Any, earlier: Copy) -> None:
    suspend_tenant(tenant=acme.tenant, reason="unpaid invoice", actor="test")

    earlier.put_back()

    with pytest.raises(TenantSuspendedError):
        admit(event=event(acme, 1))


def test_a_minute_that_was_used_since_is_not_free_again(acme: Any, earlier: Copy) -> None:
    rules = Rules(tenant=Limits(requests_per_minute=3))
    for _ in range(3):
        spend(acme, 1, rules=rules)

    earlier.put_back()

    with pytest.raises(RateLimitError):
        spend(acme, 1, rules=rules)


def test_the_books_are_told_from_the_ledger_to_whoever_reads_them(acme: Any, earlier: Copy) -> None:
    spend(acme, 25 * USD - 1)

    earlier.put_back()

    assert list(check_gate(acme.tenant)) == []
    with pytest.raises(InsufficientCreditError):
        require_credit(acme.code)
    assert books(acme.tenant) == Gate(posted=0, held=0, unsettled=0)


def test_what_the_ledger_said_before_the_restart_is_not_trusted_after_it(
    acme: Any, earlier: Copy
) -> None:
    run = gate.run_of(acme.code)
    earlier.put_back(is_told=False)

    gate.sync(tenant_code=acme.code, posted_nusd=25 * USD, version=99, run=run)

    known = gate.read(acme.code)
    assert known is not None
    assert not known.is_current
