"""Calls that are not booked are copied from wherever they are, and put back once."""

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from agentflare.partitions import partition_of
from billing import invariants
from billing.admission import gate, live_holds
from billing.admission.gate import Gate, HoldKeys
from billing.admission.services import admit, books, capture
from billing.admission.tests.builders import event
from billing.archive.services import archive_usage
from billing.archive.tests.test_archive import fill
from billing.backup.calls import (
    Call,
    PutBack,
    State,
    parse_calls,
    pending_calls,
    put_back,
    read_calls,
    write_calls,
)
from billing.backup.errors import BackupError
from billing.settlement.dead_letters import letters
from billing.settlement.services import settle_partition
from billing.spool import append
from billing.usage.models import UsageRecord
from tenants.registry.schemas import tenant_schema

USD = 1_000_000_000


@pytest.fixture(autouse=True)
def _folders(tmp_path: Path, settings: Any) -> None:
    settings.ARCHIVE_DIR, settings.SPOOL_DIR = str(tmp_path / "archive"), str(tmp_path / "spool")


def settle(cast: Any) -> int:
    return settle_partition(partition=partition_of(cast.code))


def costs(cast: Any) -> dict[str, int]:
    with tenant_schema(cast.code):
        return {row.request_id.hex: row.cost_nusd for row in UsageRecord.objects.all()}


def ids(calls: list[Call]) -> dict[str, State]:
    return {json.loads(call.event)["request_id"]: call.state for call in calls}


def hold(cast: Any, delivered_nusd: int) -> str:
    """Of a process that has died since."""
    mine = event(cast, 100)
    admit(event=mine)
    live_holds.forget_all()
    gate.renew(
        HoldKeys.of(mine),
        request_id=mine.request_id,
        tenant_code=cast.code,
        amount_nusd=100,
        cost_nusd=delivered_nusd,
        event=mine.with_(cost_nusd=delivered_nusd).dumps(),
    )
    return mine.request_id


def test_calls_are_found_in_spool_holds_outbox_and_dead_letters(acme: Any, globex: Any) -> None:
    settle(acme)
    fill(acme)
    archive_usage(tenant=acme.tenant, before=datetime(2024, 10, 1, tzinfo=UTC))
    # Of a time that is archived: the ledger cannot tell whether it was booked.
    buried = event(acme, 5, started_at=datetime(2024, 8, 6, tzinfo=UTC).timestamp(), cost_nusd=5)
    gate.capture_event(buried)
    settle(acme)
    assert buried.request_id in {each.event.request_id for each in letters() if each.event}
    spooled = event(acme, 6, cost_nusd=6)
    append(spooled)
    running = hold(acme, 7)
    captured, of_another = event(acme, 8, cost_nusd=8), event(globex, 9, cost_nusd=9)
    gate.capture_event(captured)
    gate.capture_event(of_another)

    mine, all_there_are = ids(pending_calls(tenant_code=acme.code)), ids(pending_calls())

    assert mine == {
        buried.request_id: State.CAPTURED,
        spooled.request_id: State.CAPTURED,
        running: State.RUNNING,
        captured.request_id: State.CAPTURED,
    }
    assert mine.items() <= all_there_are.items()
    assert all_there_are[of_another.request_id] is State.CAPTURED


def test_what_is_put_back_is_booked_once_whatever_is_known_of_it(acme: Any) -> None:
    settle(acme)
    known = event(acme, 3, cost_nusd=3, status="completed")
    gate.capture_event(known)
    settle(acme)
    lost = event(acme, 4, cost_nusd=4, status="completed")
    # One that ended while it was copied is in the copy twice: as it was, and as it ended.
    ended = event(acme, 100, cost_nusd=10, status="completed")
    died = event(acme, 100, cost_nusd=2)
    calls = [
        Call(State.RUNNING, acme.code, ended.with_(cost_nusd=1).dumps()),
        *(Call(State.CAPTURED, acme.code, each.dumps()) for each in (known, lost, ended)),
        Call(State.RUNNING, acme.code, died.dumps()),
        Call(State.CAPTURED, acme.code, "not an event"),
    ]

    for _ in range(2):
        assert put_back(calls) == PutBack(captured=3, running=1, unreadable=1)
        settle(acme)

    booked = {each.request_id: each.cost_nusd for each in (known, lost, ended, died)}
    assert costs(acme) == booked
    assert books(acme.tenant) == Gate(posted=25 * USD - 19, held=0, unsettled=0)
    assert [*invariants.check_ledger(acme.tenant), *invariants.check_gate(acme.tenant)] == []


def test_a_call_that_is_held_here_still_is_left_to_its_hold(acme: Any) -> None:
    mine = event(acme, 100)
    held = admit(event=mine)
    copy = [Call(State.RUNNING, acme.code, mine.with_(cost_nusd=1).dumps())]

    assert put_back(copy) == PutBack(running=0)

    capture(held, held.event.with_(cost_nusd=30, status="completed"))
    settle(acme)
    assert costs(acme) == {mine.request_id: 30}


def test_the_file_has_them_as_they_were(tmp_path: Path) -> None:
    calls = [Call(State.CAPTURED, "abc123", '{"a": "\u2028é\\n"}'), Call(State.RUNNING, "x", "")]

    write_calls(tmp_path / "calls", calls)

    assert read_calls(tmp_path / "calls") == calls
    for content in (b"[]\n", b"{}\n", b'{"state": "odd", "tenant": "", "event": ""}', b"\xff"):
        with pytest.raises(BackupError):
            parse_calls(content, name="calls")
    with pytest.raises(BackupError):
        read_calls(tmp_path / "nowhere")
