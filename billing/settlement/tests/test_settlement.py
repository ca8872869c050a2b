"""From the outbox into the ledger, once."""

from concurrent.futures import ThreadPoolExecutor
from itertools import count
from typing import Any

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from agentflare.ids import BASE36, random_code
from agentflare.partitions import partition_key, partition_of
from agentflare.redis_store import get_redis
from agentflare.served import Refused
from billing import invariants
from billing.admission import gate
from billing.admission.gate import Gate
from billing.admission.services import admit, books, capture
from billing.admission.tests.test_admission import event
from billing.ledger.models import JournalEntry
from billing.payments import watch
from billing.settlement import services, tasks
from billing.settlement.services import settle_partition
from billing.usage.models import HourlyUsage, UsageRecord
from conftest import make_cast
from tenants.registry import services as tenant_services
from tenants.registry import versions
from tenants.registry.schemas import tenant_schema

USD = 1_000_000_000


@pytest.fixture(autouse=True)
def _empty_outboxes(_database: None) -> None:
    """What tests of admission left behind may be in the same partition."""
    for partition in services.busy_partitions():
        settle_partition(partition=partition)


def call(cast: Any, cost_nusd: int, **fields: Any) -> str:
    hold = admit(event=event(cast, max(cost_nusd, 1)))
    capture(hold, hold.event.with_(cost_nusd=cost_nusd, status="completed", **fields))
    return hold.request_id


def settle(cast: Any) -> int:
    return settle_partition(partition=partition_of(cast.code))


def violations(cast: Any) -> list[str]:
    return [*invariants.check_ledger(cast.tenant), *invariants.check_gate(cast.tenant)]


def test_a_batch_becomes_records_one_entry_and_hourly_sums(acme: Any) -> None:
    ids = [call(acme, cost, input_tokens=10, output_tokens=5) for cost in (3, 4, 5)]

    assert settle(acme) == 3

    with tenant_schema(acme.code):
        records = UsageRecord.objects.all()
        assert {record.request_id.hex for record in records} == set(ids)
        entry = JournalEntry.objects.get(kind="usage")
        assert {record.entry_id for record in records} == {entry.pk}
        assert entry.postings.get().amount_nusd == 12
        sums = HourlyUsage.objects.get()
        assert (sums.calls, sums.cost_nusd, sums.input_tokens, sums.output_tokens) == (
            3,
            12,
            30,
            15,
        )
    assert books(acme.tenant) == Gate(posted=25 * USD - 12, held=0, unsettled=0)
    assert violations(acme) == []


def test_a_batch_needs_a_dozen_statements_however_many_calls(
    acme: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    # What a process believes for some seconds is not asked in the middle.
    for module, name in ((versions, "BELIEVED_S"), (watch, "_REFRESH_S")):
        monkeypatch.setattr(module, name, 3600)
    statements = []
    for calls in (1, 1, 20):
        for _ in range(calls):
            call(acme, 3, input_tokens=10)
        with CaptureQueriesContext(connection) as captured:
            assert settle(acme) == calls
        statements.append(len(captured))

    _, of_one, of_many = statements
    assert of_one == of_many
    assert 5 < of_many <= 12
    assert violations(acme) == []


def test_who_is_not_served_waits_in_the_outbox_and_holds_up_nobody(
    acme: Any, monkeypatch: pytest.MonkeyPatch, settings: Any
) -> None:
    """Their schema is of another release: what cannot be booked must not be buried."""
    other = neighbour(acme, monkeypatch)
    settings.SETTLE_BATCH = 2
    for _ in range(3):
        call(acme, 5)
    call(other, 7)
    behind = Refused(tenants={acme.code: "its schema lacks a migration"})
    monkeypatch.setattr(versions, "current", lambda: behind)

    assert settle(other) == 1
    assert books(other.tenant).posted == 25 * USD - 7
    assert books(acme.tenant).unsettled == 15

    monkeypatch.setattr(versions, "current", lambda: Refused("the shared schema lacks all"))
    call(other, 2)
    assert settle(other) == 0

    monkeypatch.undo()
    assert settle(acme) == 4
    assert books(acme.tenant) == Gate(posted=25 * USD - 15, held=0, unsettled=0)
    assert [*violations(acme), *violations(other)] == []


def neighbour(cast: Any, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Another tenant in the same partition."""
    partition = partition_of(cast.code)
    codes = (random_code(6, BASE36) for _ in count())
    code = next(code for code in codes if partition_of(code) == partition)
    with monkeypatch.context() as patch:
        patch.setattr(tenant_services, "random_code", lambda *_: code)
        return make_cast("other", credit_nusd=25 * USD)


def test_settling_again_changes_nothing(acme: Any) -> None:
    call(acme, 7)
    settle(acme)
    before = books(acme.tenant)

    assert settle(acme) == 0

    assert books(acme.tenant) == before
    assert violations(acme) == []


def test_a_crash_between_ledger_and_gate_is_healed_by_the_next_run(
    acme: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    call(acme, 7)

    def crash(**_: Any) -> int:
        raise KeyboardInterrupt

    with monkeypatch.context() as killed:
        killed.setattr(gate, "settle", crash)
        with pytest.raises(KeyboardInterrupt):
            settle(acme)
    assert books(acme.tenant).unsettled == 7

    assert settle(acme) == 1

    with tenant_schema(acme.code):
        assert UsageRecord.objects.count() == 1
        assert HourlyUsage.objects.get().calls == 1
    assert books(acme.tenant) == Gate(posted=25 * USD - 7, held=0, unsettled=0)
    assert violations(acme) == []


def test_a_crash_inside_the_transaction_leaves_nothing_half_booked(
    acme: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    call(acme, 7)

    def crash(*_: Any, **__: Any) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as killed:
        killed.setattr(services, "as_record", crash)
        with pytest.raises(KeyboardInterrupt):
            settle(acme)

    with tenant_schema(acme.code):
        assert not JournalEntry.objects.filter(kind="usage").exists()
    assert violations(acme) == []
    assert settle(acme) == 1


def test_the_same_event_delivered_twice_is_booked_once(acme: Any) -> None:
    call(acme, 7)
    redis = get_redis()
    outbox = gate.outbox_key(partition_of(acme.code))
    (fields,) = (f for _, f in redis.xrange(outbox) if f["tenant"] == acme.code)
    redis.xadd(outbox, fields)
    redis.hincrby(gate.gate_key(acme.code), "unsettled", fields["cost"])

    settle(acme)

    with tenant_schema(acme.code):
        assert UsageRecord.objects.count() == 1
    assert books(acme.tenant) == Gate(posted=25 * USD - 7, held=0, unsettled=0)
    assert violations(acme) == []


def test_two_workers_at_once_book_each_call_once(acme: Any) -> None:
    for cost in range(1, 41):
        call(acme, cost)

    def work(_: int) -> int:
        try:
            return settle(acme)
        finally:
            connection.close()

    with ThreadPoolExecutor(4) as pool:
        settled = sum(pool.map(work, range(4)))

    assert settled == 40
    assert books(acme.tenant) == Gate(posted=25 * USD - 820, held=0, unsettled=0)
    assert violations(acme) == []


def test_calls_that_cost_nothing_are_recorded(acme: Any) -> None:
    call(acme, 0)

    settle(acme)

    with tenant_schema(acme.code):
        record = UsageRecord.objects.get()
        assert record.cost_nusd == 0
        assert not record.entry.postings.exists()
    assert violations(acme) == []


def test_an_event_that_cannot_be_read_is_buried_and_holds_up_nobody(acme: Any) -> None:
    partition = partition_of(acme.code)
    get_redis().xadd(
        gate.outbox_key(partition), {"tenant": acme.code, "cost": "1", "event": "{broken"}
    )
    call(acme, 7)

    assert settle(acme) == 1

    dead = partition_key(partition, "dead_letters")
    assert [fields["event"] for _, fields in get_redis().xrange(dead)] == ["{broken"]
    assert any("could not be booked" in line for line in invariants.check_dead_letters())
    get_redis().delete(dead)


def test_an_event_that_the_ledger_cannot_take_is_buried_and_holds_up_nobody(acme: Any) -> None:
    call(acme, 7)
    call(acme, 8, endpoint="x" * 41)  # longer than its column
    call(acme, 9)

    settle(acme)

    with tenant_schema(acme.code):
        assert {record.cost_nusd for record in UsageRecord.objects.all()} == {7, 9}
    # What could not be booked stays to be seen, and is not given back.
    assert books(acme.tenant) == Gate(posted=25 * USD - 16, held=0, unsettled=8)
    get_redis().delete(partition_key(partition_of(acme.code), "dead_letters"))


def test_tenants_of_one_partition_are_booked_each_in_their_own_schema(
    acme: Any, globex: Any
) -> None:
    call(acme, 7)
    call(globex, 9)

    settle(acme)
    settle(globex)

    for cast, cost in ((acme, 7), (globex, 9)):
        with tenant_schema(cast.code):
            assert [record.cost_nusd for record in UsageRecord.objects.all()] == [cost]
        assert violations(cast) == []


def test_sums_by_the_hour_are_kept_by_the_hour_a_call_started_in(acme: Any) -> None:
    for started_at in (1_800_000_000.0, 1_800_003_600.0, 1_800_003_601.0):
        hold = admit(event=event(acme, 10, started_at=started_at))
        capture(hold, hold.event.with_(cost_nusd=1))
        settle(acme)

    with tenant_schema(acme.code):
        assert sorted(HourlyUsage.objects.values_list("calls", flat=True)) == [1, 2]
    assert violations(acme) == []


@pytest.mark.parametrize(
    ("table", "change"),
    [
        ("ledger_ledgeraccount", "SET balance_nusd = balance_nusd + 1 WHERE code = 'credit'"),
        ("ledger_posting", "SET amount_nusd = amount_nusd + 1"),
        ("usage_usagerecord", "SET cost_nusd = cost_nusd + 1"),
        ("usage_hourlyusage", "SET cost_nusd = cost_nusd + 1"),
        ("usage_dailyusage", "SET cost_nusd = cost_nusd + 1"),
    ],
)
def test_the_audit_sees_a_single_nano_dollar(acme: Any, table: str, change: str) -> None:
    call(acme, 7)
    settle(acme)
    assert violations(acme) == []

    with tenant_schema(acme.code), connection.cursor() as cursor:
        cursor.execute(f"UPDATE {table} {change}")

    assert violations(acme) != []
    with tenant_schema(acme.code), connection.cursor() as cursor:
        cursor.execute(f"UPDATE {table} {change.replace('+ 1', '- 1')}")


def test_partitions_are_shared_out_among_workers_where_that_is_wanted(
    acme: Any, settings: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    hold = admit(event=event(acme, 10))
    capture(hold, hold.event.with_(cost_nusd=1, status="completed"))
    partition = partition_of(acme.code)
    sent: dict[int, str | None] = {}

    def send(*, kwargs: dict[str, int], queue: str | None = None, **_: Any) -> None:
        sent[kwargs["partition"]] = queue

    monkeypatch.setattr(tasks.settle_partition_task, "apply_async", send)
    tasks.settle_task()
    assert sent[partition] is None
    settings.SETTLE_QUEUES = 4
    tasks.settle_task()
    assert sent[partition] == f"settle.{partition % 4}"
