"""Moving old usage records into files. The sums stay: by the hour, by key, in the ledger.

For each tenant and month: the file is written, then its row, then the records are deleted batch by
batch, by the ids that are in the file. Killed anywhere and run again, it ends the same: a file
without a row is written anew, a row without `done_at` is gone on with. Each batch and what it
adds to the row's sums are one transaction, so that the audit holds at any moment.
"""

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from itertools import islice
from typing import Any
from zlib import crc32

import orjson
from django.db import connection, transaction
from django.utils import timezone

from agentflare.ids import first_uuid7
from agentflare.partitions import partition_of
from billing.archive.files import ArchiveError, check_digest, file_name, read_lines, write_archive
from billing.settlement.services import settle_partition
from billing.usage.archived import BOOKED_LATE
from billing.usage.models import UsageArchive, UsageRecord
from billing.usage.records import ARRIVAL
from tenants.registry.models import Tenant
from tenants.registry.schemas import tenant_schema

logger = logging.getLogger(__name__)
_READ_BATCH, _DELETE_BATCH = 5_000, 2_000
# Any number, the same for all who archive.
_LOCK = 0x5553_4147

_IN_MONTH = """
  FROM usage_usagerecord
 WHERE request_id >= %(first_id)s AND request_id < %(last_id)s
   AND started_at >= %(start)s AND started_at < %(end)s"""
_DELETE = """
DELETE FROM usage_usagerecord WHERE request_id = ANY(%s)
RETURNING entry_id, input_tokens, cached_input_tokens, output_tokens, cost_nusd,
          correction_nusd, provider_cost_nusd"""


@dataclass(frozen=True, slots=True)
class Archived:
    """What was moved, or would be."""

    file: str
    records: int


def archive_usage(*, tenant: Tenant, before: datetime, dry_run: bool = False) -> list[Archived]:
    """Move the records of calls that started before `before` into a file for each month.

    A repeat moves what is left. Raises ArchiveError when `before` is not long ago, when somebody
    else is at it, or when a file that is needed has changed.
    """
    if before > timezone.now() - BOOKED_LATE:
        raise ArchiveError(f"records stay for {BOOKED_LATE.days} days at least")
    if not dry_run:
        # What the ledger has booked may still stand in the outbox after a crash.
        settle_partition(partition=partition_of(tenant.code))
    with tenant_schema(tenant.code), _alone(tenant.code):
        if dry_run:
            return [
                Archived(_name(tenant, month), count)
                for month in _months(before)
                if (count := _count(_span(month, before)))
            ]
        moved = [_go_on(archive) for archive in UsageArchive.objects.filter(done_at=None)]
        for month in _months(before):
            span = _span(month, before)
            if _count(span, up_to=1):
                moved.append(_archive_month(tenant, month, span))
        return [archived for archived in moved if archived]


@contextmanager
def _alone(tenant_code: str) -> Iterator[None]:
    """One archiver of a tenant at a time. The lock ends with our connection, at the latest."""
    numbers = [_LOCK, crc32(tenant_code.encode()) - 2**31]
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_try_advisory_lock(%s, %s)", numbers)
        if not cursor.fetchone()[0]:
            raise ArchiveError("another process is archiving this tenant's usage")
        try:
            yield
        finally:
            cursor.execute("SELECT pg_advisory_unlock(%s, %s)", numbers)


def _months(before: datetime) -> Iterator[date]:
    """First days of the months that may have records, the oldest first."""
    oldest = UsageRecord.objects.order_by("request_id").values_list("started_at", flat=True).first()
    if oldest is None:
        return
    # Another may have arrived later and started earlier.
    month = (oldest - ARRIVAL).astimezone(UTC).date().replace(day=1)
    while datetime(month.year, month.month, 1, tzinfo=UTC) < before:
        yield month
        month = _next(month)


def _next(month: date) -> date:
    return (month + timedelta(days=31)).replace(day=1)


def _span(month: date, before: datetime) -> dict[str, Any]:
    """Of a month, as much as is before `before`."""
    start, end = (datetime(x.year, x.month, 1, tzinfo=UTC) for x in (month, _next(month)))
    end = min(end, before)
    return {
        "start": start,
        "end": end,
        "first_id": first_uuid7(start - ARRIVAL),
        "last_id": first_uuid7(end + ARRIVAL),
    }


def _count(span: dict[str, Any], *, up_to: int | None = None) -> int:
    with connection.cursor() as cursor:
        cursor.execute(
            f"SELECT count(*) FROM (SELECT 1 {_IN_MONTH} LIMIT %(up_to)s) AS found",  # noqa: S608  # no word of others
            {**span, "up_to": up_to},
        )
        return int(cursor.fetchone()[0])


def _go_on(archive: UsageArchive) -> Archived | None:
    """With what another run has begun. None: it had not got to deleting, and its file is lost."""
    try:
        return _empty(archive)
    except ArchiveError:
        if archive.calls:
            raise
        archive.delete()
        return None


def _part(month: date) -> int:
    return UsageArchive.objects.filter(month=month).count() + 1


def _name(tenant: Tenant, month: date) -> str:
    return file_name(tenant.code, month, _part(month))


def _archive_month(tenant: Tenant, month: date, span: dict[str, Any]) -> Archived:
    part, before = _part(month), span["end"]
    manifest = write_archive(
        _lines(span), tenant_code=tenant.code, month=month, part=part, before=before.isoformat()
    )
    archive = UsageArchive.objects.create(
        month=month,
        part=part,
        before=before,
        file=manifest.file,
        sha256=manifest.sha256,
        file_records=manifest.records,
        first_request_id=manifest.first_request_id,
        last_request_id=manifest.last_request_id,
    )
    return _empty(archive)


def _lines(span: dict[str, Any]) -> Iterator[bytes]:
    """The records as JSON, by keyset: no transaction stays open while the file is written."""
    find = (
        "SELECT request_id, row_to_json(usage_usagerecord)::text"
        f"{_IN_MONTH} ORDER BY request_id LIMIT {_READ_BATCH}"
    )
    span = dict(span)
    while True:
        with connection.cursor() as cursor:
            cursor.execute(find, span)
            rows = cursor.fetchall()
        for _, text in rows:
            yield text.encode()
        if len(rows) < _READ_BATCH:
            return
        find = find.replace("request_id >= %(first_id)s", "request_id > %(first_id)s")
        span["first_id"] = rows[-1][0]


def _empty(archive: UsageArchive) -> Archived:
    """Delete what is in the file, as far as it is not deleted yet. Raises ArchiveError."""
    check_digest(archive.file, archive.sha256)
    ids = (orjson.loads(line)["request_id"] for line in read_lines(archive.file))
    while batch := list(islice(ids, _DELETE_BATCH)):
        delete_batch(archive.pk, batch)
    archive.refresh_from_db()
    if archive.calls != archive.file_records:
        raise ArchiveError(
            f"{archive.file} has {archive.file_records} records, {archive.calls} were deleted"
        )
    archive.done_at = timezone.now()
    archive.save(update_fields=["done_at"])
    logger.info("Moved %d usage records to %s", archive.calls, archive.file)
    return Archived(archive.file, archive.calls)


@transaction.atomic
def delete_batch(archive_id: int, request_ids: list[str]) -> None:
    """Those of the records that are still there: from the table into the archive's sums."""
    archive = UsageArchive.objects.select_for_update().get(pk=archive_id)
    with connection.cursor() as cursor:
        cursor.execute(_DELETE, [request_ids])
        rows = cursor.fetchall()
    split = {int(entry): cost for entry, cost in archive.split_entries.items()}
    for entry_id, fresh, cached, output, cost_nusd, correction_nusd, provider_nusd in rows:
        archive.calls += 1
        archive.input_tokens += fresh
        archive.cached_input_tokens += cached
        archive.output_tokens += output
        archive.cost_nusd += cost_nusd
        archive.correction_nusd += correction_nusd
        archive.provider_cost_nusd += provider_nusd
        archive.last_entry_id = max(archive.last_entry_id, entry_id)
        # A correction has an entry of its own.
        split[entry_id] = split.get(entry_id, 0) + cost_nusd - correction_nusd
    left = set(
        UsageRecord.objects.filter(entry_id__in=split)
        .order_by()
        .values_list("entry_id", flat=True)
        .distinct()
    )
    archive.split_entries = {entry: cost for entry, cost in split.items() if entry in left}
    archive.save()
