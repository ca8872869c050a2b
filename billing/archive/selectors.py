"""Reading archives. Call these inside the tenant's schema."""

import zlib
from uuid import UUID

import orjson

from billing.archive.files import SUMS, ArchiveError, check_digest, find_line, path_of, read_lines
from billing.usage.models import UsageArchive, UsageRecord


def find_archived(request_id: UUID) -> tuple[UsageRecord, str] | None:
    """An archived call and its file: every file that may have it is read.

    Raises ArchiveError when one of them cannot be.
    """
    for archive in UsageArchive.objects.filter(
        first_request_id__lte=request_id, last_request_id__gte=request_id
    ):
        try:
            line = find_line(archive.file, request_id)
        except (OSError, EOFError, zlib.error):
            raise ArchiveError(
                f"There is no such call, unless it is archived in {path_of(archive.file)}, which "
                "cannot be read here"
            ) from None
        if line is not None:
            fields = UsageRecord._meta.concrete_fields
            values = {
                field.attname: field.to_python(line[field.attname])
                for field in fields
                if field.attname in line
            }
            return UsageRecord(**values), str(path_of(archive.file))
    return None


def faults_of_files() -> list[str]:
    """What is wrong with the tenant's files: each is read to its end."""
    faults = []
    for archive in UsageArchive.objects.exclude(done_at=None):
        try:
            check_digest(archive.file, archive.sha256)
        except ArchiveError as exc:
            faults.append(str(exc))
            continue
        records, sums = _sums_of_file(archive.file)
        if records != archive.calls or any(sums[x] != getattr(archive, x) for x in SUMS):
            faults.append(f"{path_of(archive.file)} has other sums than its archive")
    return faults


def _sums_of_file(name: str) -> tuple[int, dict[str, int]]:
    records, sums = 0, dict.fromkeys(SUMS, 0)
    for line in read_lines(name):
        record = orjson.loads(line)
        records += 1
        for column in SUMS:
            # Files of earlier versions have no corrections.
            sums[column] += record.get(column, 0)
    return records, sums
