"""Old usage records move to files, and nothing that they sum up to changes."""

import json
from contextlib import suppress
from datetime import UTC, datetime
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
from django.core.management import call_command
from django.core.management.base import CommandError
from django.db import connection

from agentflare.ids import first_uuid7, uuid7
from agentflare.partitions import partition_key, partition_of
from agentflare.redis_store import get_redis
from billing import invariants
from billing.admission import gate
from billing.admission.gate import HoldKeys
from billing.admission.tests.builders import event
from billing.archive import services
from billing.archive.files import ArchiveError, path_of, read_lines
from billing.archive.services import archive_usage
from billing.archive.tasks import archive_tenant_task, kept_since
from billing.ledger.models import JournalEntry
from billing.ledger.services import sync_gate
from billing.settlement.services import book, settle_partition
from billing.usage.events import UsageEvent
from billing.usage.models import DailyUsage, HourlyUsage, KeySpend, UsageArchive, UsageRecord
from tenants.registry.schemas import tenant_schema

OCTOBER = datetime(2024, 10, 1, tzinfo=UTC)


@pytest.fixture(autouse=True)
def _folder(tmp_path: Path, settings: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    settings.ARCHIVE_DIR = str(tmp_path)
    # So that a handful of records is many batches.
    monkeypatch.setattr(services, "_READ_BATCH", 3)
    monkeypatch.setattr(services, "_DELETE_BATCH", 2)


def call(cast: Any, started_at: datetime, cost_nusd: int) -> UsageEvent:
    return event(
        cast,
        cost_nusd,
        request_id=f"{first_uuid7(started_at).int | uuid7().int & 2**62 - 1:032x}",
        started_at=started_at.timestamp(),
        status="completed",
        truth="provider",
        neurons="0.123456789012",
        cost_nusd=cost_nusd,
        input_tokens=3,
        output_tokens=cost_nusd,
    )


def fill(cast: Any) -> list[UsageEvent]:
    """Calls from August to October; one entry has calls of two months, and one costs nothing."""
    moments = [
        *(datetime(2024, 8, day, 23, tzinfo=UTC) for day in (1, 2, 31)),
        datetime(2024, 8, 31, 23, 59, 59, tzinfo=UTC),
        *(datetime(2024, 9, day, 5, tzinfo=UTC) for day in (1, 9, 20)),
        *(datetime(2024, 9, 30, 23, 59, second, tzinfo=UTC) for second in (1, 2, 3)),
        *(datetime(2024, 10, day, tzinfo=UTC) for day in (1, 1, 17)),
    ]
    events = [call(cast, moment, cost) for cost, moment in enumerate(moments)]
    with tenant_schema(cast.code):
        for at in range(0, len(events), 3):  # 3 to an entry, across the ends of months
            book(events[at : at + 3])
    sync_gate(cast.code)
    return events


def violations(cast: Any) -> list[str]:
    return [
        *invariants.check_ledger(cast.tenant),
        *invariants.check_gate(cast.tenant),
        *invariants.check_archives(cast.tenant),
    ]


def rows_left(cast: Any) -> int:
    with tenant_schema(cast.code):
        return UsageRecord.objects.count()


def sums(cast: Any) -> list[Any]:
    """Everything that must outlive the records."""
    with tenant_schema(cast.code):
        return [
            list(model.objects.order_by("pk").values())
            for model in (HourlyUsage, DailyUsage, KeySpend, JournalEntry)
        ]


def archived_ids(cast: Any) -> list[str]:
    with tenant_schema(cast.code):
        files = list(UsageArchive.objects.values_list("file", flat=True))
    lines = [line for file in files for line in read_lines(file)]
    return [json.loads(line)["request_id"].replace("-", "") for line in lines]


def test_a_month_becomes_a_file_and_every_sum_stays(acme: Any) -> None:
    events = fill(acme)
    before = sums(acme)

    moved = archive_usage(tenant=acme.tenant, before=OCTOBER)

    assert [(x.file, x.records) for x in moved] == [
        (f"{acme.code}/usage-2024-08.1.jsonl.gz", 4),
        (f"{acme.code}/usage-2024-09.1.jsonl.gz", 6),
    ]
    assert archived_ids(acme) == [each.request_id for each in events[:10]]
    assert rows_left(acme) == 3
    assert sums(acme) == before
    assert violations(acme) == []
    assert archive_usage(tenant=acme.tenant, before=OCTOBER) == []


def test_the_manifest_tells_what_is_in_the_file(acme: Any) -> None:
    fill(acme)
    archive_usage(tenant=acme.tenant, before=OCTOBER)

    manifest = json.loads(path_of(f"{acme.code}/usage-2024-08.1.manifest.json").read_text())

    with tenant_schema(acme.code):
        archive = UsageArchive.objects.get(month="2024-08-01")
    assert manifest["sha256"] == archive.sha256
    assert manifest["records"] == archive.calls == 4
    assert manifest["sums"]["cost_nusd"] == archive.cost_nusd == 0 + 1 + 2 + 3
    assert manifest["sums"]["input_tokens"] == 12


class Killed(BaseException):
    pass


STEPS = ["write_archive", "check_digest", "_rename", "_write_manifest", "delete_batch"]


@pytest.mark.parametrize("calls_before", range(4))
@pytest.mark.parametrize("step", STEPS)
@pytest.mark.parametrize("when", ["before", "after"])
def test_killed_anywhere_and_repeated_it_ends_the_same(
    acme: Any, monkeypatch: pytest.MonkeyPatch, step: str, when: str, calls_before: int
) -> None:
    from billing.archive import files

    events = fill(acme)
    before = sums(acme)
    place = services if step in ("write_archive", "check_digest", "delete_batch") else files
    real, count = getattr(place, step), 0

    def dies(*args: Any, **kwargs: Any) -> Any:
        nonlocal count
        count += 1
        if when == "before" and count > calls_before:
            raise Killed
        result = real(*args, **kwargs)
        if count > calls_before:
            raise Killed
        return result

    with monkeypatch.context() as killed:
        killed.setattr(place, step, dies)
        with suppress(Killed):
            archive_usage(tenant=acme.tenant, before=OCTOBER)
    assert violations(acme) == []
    assert sums(acme) == before

    archive_usage(tenant=acme.tenant, before=OCTOBER)

    assert rows_left(acme) == 3
    assert sorted(archived_ids(acme)) == sorted(each.request_id for each in events[:10])
    assert sums(acme) == before
    assert violations(acme) == []


def test_a_day_within_a_month_makes_a_part_and_the_rest_another(acme: Any) -> None:
    fill(acme)

    archive_usage(tenant=acme.tenant, before=datetime(2024, 9, 9, tzinfo=UTC))
    assert (rows_left(acme), violations(acme)) == (8, [])
    archive_usage(tenant=acme.tenant, before=OCTOBER)

    with tenant_schema(acme.code):
        parts = UsageArchive.objects.values_list("month", "part", "calls")
        assert [(month.month, part, calls) for month, part, calls in parts] == [
            (8, 1, 4),
            (9, 1, 1),
            (9, 2, 5),
        ]
    assert (rows_left(acme), violations(acme)) == (3, [])


def test_a_call_delivered_again_after_it_was_archived_is_not_booked_twice(acme: Any) -> None:
    old = fill(acme)[0].with_(cost_nusd=5)
    archive_usage(tenant=acme.tenant, before=OCTOBER)
    before = sums(acme)
    gate.capture(
        HoldKeys.of(old),
        request_id=old.request_id,
        tenant_code=acme.code,
        cost_nusd=5,
        event=old.dumps(),
        tokens=0,
    )

    settle_partition(partition=partition_of(acme.code))

    assert sums(acme) == before
    dead = partition_key(partition_of(acme.code), "dead_letters")
    assert any(old.request_id in fields["event"] for _, fields in get_redis().xrange(dead))
    get_redis().delete(dead)


@pytest.mark.parametrize(
    ("table", "change"),
    [
        ("ledger_posting", "amount_nusd = amount_nusd + 1 WHERE source_id = 'credit'"),
        ("usage_usagearchive", "cost_nusd = cost_nusd + 1"),
        ("usage_hourlyusage", "calls = calls + 1 WHERE hour < '2024-09-15'"),
        ("usage_hourlyusage", "cost_nusd = cost_nusd + 1 WHERE hour > '2024-10-02'"),
        ("usage_keyspend", "cost_nusd = cost_nusd + 1 WHERE period = '20240802'"),
        ("usage_usagerecord", "cost_nusd = cost_nusd + 1"),
    ],
)
def test_the_audit_sees_a_single_nano_dollar_of_what_is_archived(
    acme: Any, table: str, change: str
) -> None:
    fill(acme)
    archive_usage(tenant=acme.tenant, before=OCTOBER)

    with tenant_schema(acme.code), connection.cursor() as cursor:
        cursor.execute(f"UPDATE {table} SET {change}")

    assert violations(acme) != []


def test_a_changed_or_lost_file_is_seen_and_nothing_more_is_deleted(
    acme: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    fill(acme)
    real = services.delete_batch

    def once(*args: Any) -> None:
        real(*args)
        raise Killed

    with monkeypatch.context() as killed:
        killed.setattr(services, "delete_batch", once)
        with pytest.raises(Killed):
            archive_usage(tenant=acme.tenant, before=OCTOBER)
    with tenant_schema(acme.code):
        path = path_of(UsageArchive.objects.get().file)
    whole = path.read_bytes()
    path.write_bytes(whole[:-9])

    with pytest.raises(ArchiveError, match="is not what was written"):
        archive_usage(tenant=acme.tenant, before=OCTOBER)
    assert rows_left(acme) == 11

    path.write_bytes(whole)
    archive_usage(tenant=acme.tenant, before=OCTOBER)
    assert violations(acme) == []
    path.unlink()
    assert any("cannot be read" in fault for fault in invariants.check_archives(acme.tenant))


def command(*arguments: str) -> str:
    out = StringIO()
    call_command(*arguments, stdout=out)
    return out.getvalue()


def test_the_command_tells_what_it_would_do_and_does_it(acme: Any, globex: Any) -> None:
    fill(acme)
    fill(globex)
    arguments = ("archive_usage", "--tenant", acme.tenant.slug, "--before", "2024-10-01")

    assert "10 records would be moved." in command(*arguments, "--dry-run")
    assert rows_left(acme) == 13
    assert "10 records were moved." in command(*arguments)
    assert (rows_left(acme), rows_left(globex)) == (3, 13)


def test_recent_records_stay(acme: Any) -> None:
    fill(acme)
    with pytest.raises(CommandError):
        command("archive_usage", "--tenant", acme.tenant.slug, "--before", "2099-01-01")
    with pytest.raises(CommandError, match="keep for ever"):
        command("archive_usage", "--tenant", acme.tenant.slug)
    assert rows_left(acme) == 13


def test_without_a_retention_nothing_moves_and_with_one_whole_months_do(
    acme: Any, settings: Any
) -> None:
    fill(acme)
    assert archive_tenant_task(acme.code) == 0

    settings.USAGE_RETENTION_DAYS = 30
    before = kept_since()
    assert before is not None
    assert (before.day, before.hour, before.minute) == (1, 0, 0)
    archive_tenant_task(acme.code)
    with tenant_schema(acme.code):
        assert not UsageRecord.objects.filter(started_at__lt=before).exists()
    assert violations(acme) == []


def test_an_archived_call_is_explained_from_its_file(acme: Any) -> None:
    events = fill(acme)
    archive_usage(tenant=acme.tenant, before=OCTOBER)

    story = command("explain", events[1].request_id, "--tenant", acme.tenant.slug)

    assert "archived in" in story
    assert f"{acme.code}/usage-2024-08.1.jsonl.gz" in story
    assert "0.000000001" in story
    assert "0.123456789012" in story

    path_of(f"{acme.code}/usage-2024-08.1.jsonl.gz").unlink()
    with pytest.raises(CommandError, match=r"usage-2024-08\.1\.jsonl\.gz, which cannot be read"):
        command("explain", events[1].request_id, "--tenant", acme.tenant.slug)


def test_an_audit_since_a_day_looks_at_what_was_booked_since(acme: Any) -> None:
    fill(acme)
    with tenant_schema(acme.code), connection.cursor() as cursor:
        cursor.execute(
            "UPDATE ledger_journalentry SET created_at = "
            "CASE WHEN id > 5 THEN date '2024-10-02' ELSE '2024-10-01' END"
        )

    def faults() -> list[str]:
        since = datetime(2024, 10, 2, tzinfo=UTC)
        return list(invariants.check_ledger(acme.tenant, since=since))

    assert faults() == []
    with tenant_schema(acme.code), connection.cursor() as cursor:
        cursor.execute("UPDATE usage_usagerecord SET cost_nusd = 99 WHERE cost_nusd = 1")
    assert faults() == []
    with tenant_schema(acme.code), connection.cursor() as cursor:
        cursor.execute("UPDATE usage_usagerecord SET cost_nusd = 99 WHERE cost_nusd = 12")
    assert faults() != []
