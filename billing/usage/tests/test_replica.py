"""Reads of usage at a real replica, that falls behind, dies and comes back."""

import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from typing import Any

import psycopg
import pytest
from django.db import connection, transaction

from agentflare.partitions import partition_of
from billing.admission.services import admit, capture
from billing.admission.tests.builders import event
from billing.settlement.services import settle_partition
from billing.usage.records import RecordFilter, find_records
from billing.usage.selectors import Bucket, end_buckets, usage_buckets
from sandbox.embedded.postgres import PostgresReplica, start_replica
from sandbox.testing import wait_until
from tenants.postgresql import replica
from tenants.registry.schemas import tenant_schema


@pytest.fixture(scope="module")
def _server(_database: None, tmp_path_factory: pytest.TempPathFactory) -> Iterator[PostgresReplica]:
    server = start_replica(
        tmp_path_factory.mktemp("replica"), primary_url=os.environ["DATABASE_URL"]
    )
    yield server
    server.stop_quickly()


@pytest.fixture
def server(
    _server: PostgresReplica, settings: Any, monkeypatch: pytest.MonkeyPatch
) -> Iterator[PostgresReplica]:
    settings.DATABASE_REPLICA_URL = _server.url
    monkeypatch.setattr(replica, "_LOOK_S", 0.0)
    monkeypatch.setattr(replica, "_REST_S", 0.2)
    replica.forget()
    wait_until(is_used)
    yield _server
    replica.forget()


def is_used() -> bool:
    return replica.read(is_replica)


def is_replica(cursor: Any) -> bool:
    cursor.execute("SELECT pg_is_in_recovery()")
    return bool(cursor.fetchone()[0])


def settled_call(cast: Any, nusd: int) -> None:
    started_at = time.time()
    hold = admit(event=event(cast, nusd, started_at=started_at))
    capture(hold, hold.event.with_(cost_nusd=nusd, status="completed", quantities={"tiles": 2}))
    settle_partition(partition=partition_of(cast.code))


def spent() -> int:
    return sum(bucket.cost_nusd for bucket in buckets())


def buckets() -> list[Bucket]:
    now = datetime.now(UTC)
    start = now - timedelta(days=2)
    return usage_buckets(start=start, end=now, width="day", groups=["ai_model", "key_id"])


def everything() -> tuple[Any, ...]:
    now = datetime.now(UTC)
    page = find_records(RecordFilter(), after=None, limit=10)
    ends = end_buckets(start=now - timedelta(days=2), end=now, width="hour")
    return page, buckets(), ends


def test_usage_is_read_at_the_replica_and_reads_as_at_the_primary(
    acme: Any, server: PostgresReplica, settings: Any
) -> None:
    settled_call(acme, 7)
    with tenant_schema(acme.code):
        wait_until(lambda: is_used() and spent() == 7)
        told = everything()
        settings.DATABASE_REPLICA_URL = ""
        assert told == everything()
    assert [record.cost_nusd for record in told[0].records] == [7]


def test_each_tenant_reads_its_own_there(acme: Any, globex: Any, server: PostgresReplica) -> None:
    settled_call(acme, 7)
    settled_call(globex, 11)
    for _ in range(3):
        for cast, nusd in ((acme, 7), (globex, 11)):
            with tenant_schema(cast.code):
                wait_until(lambda nusd=nusd: is_used() and spent() == nusd)  # type: ignore[misc]
                assert len(find_records(RecordFilter(), after=None, limit=10).records) == 1


def test_inside_a_transaction_the_primary_is_read(acme: Any, server: PostgresReplica) -> None:
    with transaction.atomic():
        assert not is_used()
    assert is_used()


def test_nothing_is_written_there(server: PostgresReplica) -> None:
    with pytest.raises(psycopg.errors.ReadOnlySqlTransaction):
        replica.read(lambda cursor: cursor.execute("CREATE TABLE public.wrong ()"))


def test_one_that_falls_behind_is_left_alone_until_it_has_caught_up(
    acme: Any, server: PostgresReplica
) -> None:
    with stopped_replay(server) as go_on:
        settled_call(acme, 7)
        with tenant_schema(acme.code):
            # The first look notes how far the primary is; the next finds the replica behind that.
            wait_until(lambda: not is_used())
            assert spent() == 7
            assert not is_used()
        go_on()
        wait_until(is_used)
        with tenant_schema(acme.code):
            assert spent() == 7


@contextmanager
def stopped_replay(server: PostgresReplica) -> Iterator[Callable[[], None]]:
    def run(sql: str) -> None:
        with psycopg.connect(server.url, autocommit=True) as own:
            own.execute(sql)

    run("SELECT pg_wal_replay_pause()")
    try:
        yield lambda: run("SELECT pg_wal_replay_resume()")
    finally:
        run("SELECT pg_wal_replay_resume()")


def test_while_it_is_dead_the_primary_answers(acme: Any, server: PostgresReplica) -> None:
    server.kill()
    settled_call(acme, 7)
    with tenant_schema(acme.code):
        assert spent() == 7
        assert not is_used()
    server.start_again()
    wait_until(is_used)
    with tenant_schema(acme.code):
        wait_until(lambda: is_used() and spent() == 7)


def test_a_process_that_has_not_looked_for_a_while_asks_the_primary(
    server: PostgresReplica, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(replica, "_MOST_LAG_S", 0.05)
    replica.forget()
    assert not is_used()
    time.sleep(0.1)
    assert not is_used()
    assert connection.schema_name == "public"
