"""Redis answers, and takes nothing any more: what it does when its disk is full."""

import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import redis

from agentflare.partitions import partition_of
from billing.admission import outage
from billing.admission.models import FallbackHold
from billing.admission.services import admit, books, capture
from billing.admission.tests.builders import USD, event
from billing.invariants import check_gate, check_ledger
from billing.ledger.services import credit_account
from billing.settlement.services import settle_partition
from tenants.registry.schemas import tenant_schema

MILLI = USD // 1_000


@pytest.fixture(autouse=True)
def _ends(own_redis: Any) -> Iterator[None]:
    yield
    FallbackHold.objects.filter(redis=outage.redis_name()).delete()


class Disk:
    """Full: a folder is in the way of the copy that Redis writes."""

    def __init__(self, server: Any) -> None:
        self._in_the_way = Path(server.folder) / "dump.rdb" / "folder"
        self._client: Any = redis.Redis.from_url(server.url, decode_responses=True)
        self._client.config_set("save", "3600 1")

    def fill(self) -> None:
        self._in_the_way.mkdir(parents=True)
        self._save(expected="err")

    def clear(self) -> None:
        self._in_the_way.rmdir()
        self._in_the_way.parent.rmdir()
        self._save(expected="ok")

    def _save(self, *, expected: str) -> None:
        self._client.bgsave()
        deadline = time.monotonic() + 10
        while self._client.info("persistence")["rdb_last_bgsave_status"] != expected:
            assert time.monotonic() < deadline, "no copy was tried"
            time.sleep(0.02)


def balance(cast: Any) -> int:
    with tenant_schema(cast.code):
        return credit_account().balance_nusd


def test_calls_are_admitted_and_paid_all_the_same(acme: Any, own_redis: Any) -> None:
    disk = Disk(own_redis)
    before = admit(event=event(acme, 10 * MILLI))
    disk.fill()

    ended = capture(before, before.event.with_(cost_nusd=3 * MILLI, status="completed"))

    assert ended.cost_nusd == 3 * MILLI
    assert balance(acme) == 25 * USD - 3 * MILLI
    meanwhile = admit(event=event(acme, 10 * MILLI))
    capture(meanwhile, meanwhile.event.with_(cost_nusd=4 * MILLI, status="completed"))
    assert balance(acme) == 25 * USD - 7 * MILLI

    disk.clear()
    deadline = time.monotonic() + 15
    while outage.is_on():
        assert time.monotonic() < deadline, "Redis has not been told"
        time.sleep(0.05)
    settle_partition(partition=partition_of(acme.code))
    assert books(acme.tenant).posted == 25 * USD - 7 * MILLI
    assert [*check_gate(acme.tenant), *check_ledger(acme.tenant)] == []
