"""The gate on a Redis Cluster of three nodes: tenants on each, slots that move under load, nodes
that die and come back. Money adds up, and who is not concerned notices nothing."""

import os
import signal
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any

import pytest

from agentflare.errors import CreditError, GatewayError, KeyBudgetError, RateLimitError
from agentflare.partitions import partition_of
from agentflare.redis_store import RedisDownError, get_redis
from billing.admission import gate, live_holds, outage, recovery
from billing.admission.gate import Gate
from billing.admission.models import FallbackHold, GateProcess
from billing.admission.rules import Rules
from billing.admission.selectors import running_holds
from billing.admission.services import admit, books, capture
from billing.admission.tests.builders import USD, event, outbox_of
from billing.invariants import check_gate, check_ledger
from billing.ledger.services import credit_account
from billing.settlement import sweeper
from billing.settlement.services import (
    busy_partitions,
    read_outbox,
    settle_partition,
    settle_tenant,
)
from billing.settlement.sweeper import expire_holds
from conftest import Cast, make_cast
from sandbox.embedded.cluster import ValkeyCluster, ValkeyNode
from sandbox.testing import wait_until
from tenants.limits import Budgets, Limits
from tenants.registry.schemas import tenant_schema

MILLI = USD // 1_000
CALL_NUSD = 7


@pytest.fixture(autouse=True)
def _alone(own_cluster: ValkeyCluster, settings: Any) -> Iterator[None]:
    """Nobody else has to notice an outage first; what moved is believed to have come whole soon."""
    settings.FALLBACK_GRACE_S = 0
    settings.FALLBACK_ALLOWANCE_NUSD = 20 * USD
    # The cluster is young yet.
    settings.HOLD_TTL_S = 2
    for part in outage.parts():
        recovery.is_new_redis(part)
    yield
    names = [outage.gate_name(), *(outage.redis_name(part) for part in outage.parts())]
    for model in (FallbackHold, GateProcess):
        model.objects.filter(redis__in=names).delete()


@pytest.fixture
def casts(own_cluster: ValkeyCluster) -> list[Cast]:
    """One tenant on each node."""
    found: dict[int, Cast] = {}
    while len(found) < len(own_cluster.masters):
        cast = make_cast("acme", credit_nusd=25 * USD)
        found.setdefault(node_of(own_cluster, cast).port, cast)
    return [found[node.port] for node in own_cluster.masters]


def slot_of(cluster: ValkeyCluster, cast: Cast) -> int:
    return cluster.slot(gate.gate_key(cast.code))


def node_of(cluster: ValkeyCluster, cast: Cast) -> ValkeyNode:
    return cluster.owner(slot_of(cluster, cast))


def is_on(cast: Cast) -> bool:
    return outage.is_on(outage.part_of(cast.code))


def call(cast: Cast, nusd: int = CALL_NUSD, **options: Any) -> None:
    hold = admit(event=event(cast, 10 * nusd), **options)
    capture(hold, hold.event.with_(cost_nusd=nusd, status="completed"))


def balance(cast: Cast) -> int:
    with tenant_schema(cast.code):
        return credit_account().balance_nusd


def assert_all_agrees(cast: Cast, *, spent_nusd: int) -> None:
    """Gate, ledger and records, with nothing running and nothing left over."""
    wait_until(lambda: not is_on(cast))
    # A call may have ended in PostgreSQL just after Redis was told: the sweeper tells it of that.
    assert recovery.recover(outage.part_of(cast.code))
    settle_partition(partition=partition_of(cast.code))
    assert books(cast.tenant) == Gate(posted=25 * USD - spent_nusd, held=0, unsettled=0)
    assert balance(cast) == 25 * USD - spent_nusd
    assert list(check_ledger(cast.tenant)) == []
    assert list(check_gate(cast.tenant)) == []
    assert not FallbackHold.objects.filter(tenant_code=cast.code).exists()


def settle_some(cast: Cast) -> int:
    """Without waiting until nothing is left: calls go on."""
    partition = partition_of(cast.code)
    some = [
        each for each in read_outbox(partition, limit=50) if each.event.tenant_code == cast.code
    ]
    return settle_tenant(tenant_code=cast.code, deliveries=some)


class Crowd:
    """Calls of several tenants, without pause, from threads: what each was told is counted."""

    def __init__(self, casts: list[Cast]) -> None:
        self.made = dict.fromkeys((cast.code for cast in casts), 0)
        self.refused: list[tuple[str, GatewayError]] = []
        self.faults: list[BaseException] = []
        self._stopped = threading.Event()
        self._threads = [threading.Thread(target=self._call, args=(cast,)) for cast in casts]

    def _call(self, cast: Cast) -> None:
        from django.db import connection

        while not self._stopped.is_set():
            try:
                call(cast)
                self.made[cast.code] += 1
            except GatewayError as exc:
                self.refused.append((cast.code, exc))
                time.sleep(0.05)
            except BaseException as exc:
                self.faults.append(exc)
                break
        connection.close()

    def wait_for_more(self, *casts: Cast, calls: int = 20) -> None:
        begun = dict(self.made)
        wait_until(
            lambda: (
                bool(self.faults)
                or all(self.made[cast.code] >= begun[cast.code] + calls for cast in casts)
            )
        )

    def spent_nusd(self, cast: Cast) -> int:
        return self.made[cast.code] * CALL_NUSD

    def __enter__(self) -> "Crowd":
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stopped.set()
        for thread in self._threads:
            thread.join(timeout=30)
        assert self.faults == []


@contextmanager
def paused(server: ValkeyNode) -> Iterator[None]:
    os.kill(server.pid, signal.SIGSTOP)
    try:
        yield
    finally:
        os.kill(server.pid, signal.SIGCONT)


# --- every script, on every node --------------------------------------------------------


def test_calls_are_held_captured_and_settled_on_every_node(casts: list[Cast]) -> None:
    for cast in casts:
        hold = admit(event=event(cast, 2 * USD))
        assert books(cast.tenant) == Gate(posted=25 * USD, held=2 * USD, unsettled=0)
        live_holds.renew_all()
        captured = capture(hold, hold.event.with_(cost_nusd=1 * USD, status="completed"))
        assert captured.available_nusd == 24 * USD
        # Once more: the answer had been lost.
        assert capture(hold, hold.event).cost_nusd == 1 * USD
        assert [each.request_id for each in outbox_of(cast)] == [hold.request_id]

    assert {partition_of(cast.code) for cast in casts} <= set(busy_partitions())
    for cast in casts:
        assert_all_agrees(cast, spent_nusd=1 * USD)
    assert outage.parts_on() == []


def test_limits_and_budgets_and_credit_are_decided_at_each_node(casts: list[Cast]) -> None:
    for cast in casts:
        limits = Rules(tenant=Limits(requests_per_minute=2))
        for _ in range(2):
            call(cast, rules=limits)
        with pytest.raises(RateLimitError):
            call(cast, rules=limits)
        with pytest.raises(KeyBudgetError):
            call(cast, rules=Rules(budgets=Budgets(day_nusd=20)))
        with pytest.raises(CreditError):
            admit(event=event(cast, 26 * USD))
        assert_all_agrees(cast, spent_nusd=2 * CALL_NUSD)


def test_nobody_overdraws_however_many_call_at_once(casts: list[Cast]) -> None:
    def try_to(cast: Cast) -> int:
        try:
            admit(event=event(cast, 10 * USD))
        except CreditError:
            return 0
        return 1

    with ThreadPoolExecutor(9) as threads:
        admitted = list(threads.map(try_to, casts * 3))

    assert [sum(admitted[at::3]) for at in range(3)] == [2, 2, 2]


def test_holds_of_the_dead_are_swept_up_on_every_node(
    casts: list[Cast], monkeypatch: pytest.MonkeyPatch
) -> None:
    # Somebody has been round all the time.
    monkeypatch.setattr(sweeper, "_were_away", lambda clocks: set())
    for cast in casts:
        hold = admit(event=event(cast, 10, cost_nusd=3))
        live_holds.remove(hold)  # its process is dead

    def is_swept() -> bool:
        expire_holds()
        return not any(running_holds(cast.code) for cast in casts)

    wait_until(is_swept)
    for cast in casts:
        assert_all_agrees(cast, spent_nusd=3)


# --- slots that move --------------------------------------------------------------------


def test_a_slot_that_moves_under_load_is_noticed_by_nobody(
    casts: list[Cast], own_cluster: ValkeyCluster
) -> None:
    mover, *others = casts
    wait_until_old_enough(own_cluster)
    with Crowd(casts) as crowd:
        crowd.wait_for_more(*casts)
        for target in (own_cluster.masters[1], own_cluster.masters[2], own_cluster.masters[0]):
            own_cluster.move(slot_of(own_cluster, mover), target)
            crowd.wait_for_more(*casts)

    assert node_of(own_cluster, mover) is own_cluster.masters[0]
    assert crowd.refused == []
    assert not outage.parts_on()
    assert not FallbackHold.objects.filter(tenant_code__in=[cast.code for cast in casts]).exists()
    for cast in (mover, *others):
        assert_all_agrees(cast, spent_nusd=crowd.spent_nusd(cast))


def test_while_a_slot_moves_key_by_key_postgresql_admits_its_tenants_alone(
    casts: list[Cast], own_cluster: ValkeyCluster
) -> None:
    mover = casts[0]
    wait_until_old_enough(own_cluster)
    seen = []

    with Crowd(casts) as crowd:
        crowd.wait_for_more(*casts)

        def look() -> None:
            wait_until(lambda: is_on(mover))
            crowd.wait_for_more(*casts)
            seen.extend(outage.parts_on())

        slot = slot_of(own_cluster, mover)
        own_cluster.move_key_by_key(slot, own_cluster.masters[1], between=look)
        wait_until(lambda: not is_on(mover))
        crowd.wait_for_more(*casts)

    assert seen == [outage.part_of(mover.code)]
    assert {code for code, _ in crowd.refused} <= {mover.code}
    for cast in casts:
        assert_all_agrees(cast, spent_nusd=crowd.spent_nusd(cast))
    own_cluster.move(slot, own_cluster.masters[0])


def wait_until_old_enough(cluster: ValkeyCluster) -> None:
    """A node that has just started may have forgotten what it was given."""
    wait_until(
        lambda: all(int(node.info("server")["uptime_in_seconds"]) >= 3 for node in cluster.masters)
    )


# --- nodes that die ---------------------------------------------------------------------


@pytest.mark.parametrize("how", ["killed", "paused"])
def test_a_node_that_is_lost_concerns_its_own_tenants_alone(
    casts: list[Cast], own_cluster: ValkeyCluster, how: str
) -> None:
    lost, *others = casts
    running = admit(event=event(lost, 10 * MILLI))
    with Crowd(casts) as crowd:
        crowd.wait_for_more(*casts)
        with away(own_cluster.masters[0], how):
            wait_until(lambda: is_on(lost))
            assert not any(is_on(cast) for cast in others)
            crowd.wait_for_more(*casts)
            # Settlement of the others goes on as well.
            assert partition_of(lost.code) not in busy_partitions()
            for cast in others:
                assert settle_some(cast)
            with pytest.raises(RedisDownError):
                settle_partition(partition=partition_of(lost.code))
        wait_until(lambda: not outage.parts_on())
        crowd.wait_for_more(*casts)

    assert {code for code, _ in crowd.refused} <= {lost.code}
    capture(running, running.event.with_(cost_nusd=1 * MILLI, status="completed"))
    assert_all_agrees(lost, spent_nusd=crowd.spent_nusd(lost) + 1 * MILLI)
    for cast in others:
        assert_all_agrees(cast, spent_nusd=crowd.spent_nusd(cast))


@contextmanager
def away(node: ValkeyNode, how: str) -> Iterator[None]:
    if how == "paused":
        with paused(node):
            yield
        return
    node.kill()
    yield
    node.start_again()


def test_a_node_that_comes_back_empty_lends_nothing_before_it_is_told(
    casts: list[Cast], own_cluster: ValkeyCluster
) -> None:
    lost, other, _ = casts
    call(lost, 20 * USD // 10)
    running = admit(event=event(lost, 22 * USD))

    own_cluster.masters[0].ask("FLUSHALL")

    with pytest.raises(GatewayError):
        admit(event=event(lost, 2 * USD))
    call(other)
    assert not is_on(other)
    capture(running, running.event.with_(cost_nusd=22 * USD, status="completed"))
    assert_all_agrees(lost, spent_nusd=24 * USD)
    assert_all_agrees(other, spent_nusd=CALL_NUSD)


def test_whoever_starts_while_a_node_is_away_asks_postgresql_for_its_tenants_alone(
    casts: list[Cast], own_cluster: ValkeyCluster
) -> None:
    lost, other, _ = casts
    for cast in casts:
        call(cast)
    own_cluster.masters[0].kill()
    call(lost)
    assert is_on(lost)

    live_holds.forget_all()
    outage.forget()
    call(other)

    assert is_on(lost)
    assert not is_on(other)
    own_cluster.masters[0].start_again()
    assert_all_agrees(lost, spent_nusd=2 * CALL_NUSD)
    assert_all_agrees(other, spent_nusd=2 * CALL_NUSD)


def test_redis_has_every_key_of_a_tenant_in_its_partition(casts: list[Cast]) -> None:
    """A key without the tag would be on another node: its scripts would be refused."""
    cast = casts[0]
    call(cast, rules=Rules(tenant=Limits(requests_per_minute=2)))
    tag = f"{{p{partition_of(cast.code)}}}:"
    names = [name for node in get_redis().masters() for name in node.client.keys(f"*{cast.code}*")]
    assert len(names) >= 4
    assert all(name.startswith(tag) for name in names)
