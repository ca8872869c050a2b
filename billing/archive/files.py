"""An archive's file: gzip, one usage record a line as JSON with the table's columns.

Written under another name, synced to disk and renamed: a file that has its name is whole. Beside
it lies a manifest, for whoever reads it without the database.
"""

import gzip
import hashlib
import json
import os
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass
from datetime import date
from decimal import Decimal
from pathlib import Path
from typing import Any, BinaryIO
from uuid import UUID

import orjson
from django.conf import settings

# Of zlib's nine: a third of the time of the usual 9 for a file a few per cent larger.
_LEVEL = 5
_PIECE = 1 << 20
SUMS = (
    "input_tokens",
    "cached_input_tokens",
    "output_tokens",
    "cost_nusd",
    "correction_nusd",
    "provider_cost_nusd",
)


class ArchiveError(Exception):
    """Nothing was deleted that is not in its file; the text says what is wrong."""


@dataclass(frozen=True, slots=True)
class Manifest:
    """What a file has. sums: of its records, by column."""

    tenant: str
    month: str
    part: int
    before: str
    file: str
    sha256: str
    size_bytes: int
    records: int
    sums: dict[str, int]
    first_request_id: str
    last_request_id: str


def file_name(tenant_code: str, month: date, part: int) -> str:
    """Below ARCHIVE_DIR. The same for every try, so that a repeat replaces what it left."""
    return f"{tenant_code}/usage-{month:%Y-%m}.{part}.jsonl.gz"


def path_of(name: str) -> Path:
    return Path(settings.ARCHIVE_DIR) / name


def manifest_name(name: str) -> str:
    """Of the manifest that lies beside an archive."""
    return name.removesuffix(".jsonl.gz") + ".manifest.json"


def write_archive(
    lines: Iterable[bytes], *, tenant_code: str, month: date, part: int, before: str
) -> Manifest:
    """lines: JSON of a record each, in the order of their ids, at least one."""
    name = file_name(tenant_code, month, part)
    path = path_of(name)
    path.parent.mkdir(parents=True, exist_ok=True)
    records, first, last = 0, "", ""
    sums = dict.fromkeys(SUMS, 0)
    unfinished = path.with_name(path.name + ".unfinished")
    with unfinished.open("wb") as raw:
        # No name and no time in it: the same records make the same file.
        with gzip.GzipFile(
            filename="", fileobj=raw, mode="wb", compresslevel=_LEVEL, mtime=0
        ) as out:
            for line in lines:
                record = orjson.loads(line)
                last = record["request_id"]
                first = first or last
                records += 1
                for column in SUMS:
                    sums[column] += record[column]
                out.write(line + b"\n")
        _sync(raw)
    manifest = Manifest(
        tenant=tenant_code,
        month=f"{month:%Y-%m}",
        part=part,
        before=before,
        file=name,
        sha256=digest_of(unfinished),
        size_bytes=unfinished.stat().st_size,
        records=records,
        sums=sums,
        first_request_id=first,
        last_request_id=last,
    )
    _rename(unfinished, path)
    _write_manifest(manifest, path)
    return manifest


def _write_manifest(manifest: Manifest, path: Path) -> None:
    target = path.with_name(manifest_name(path.name))
    unfinished = target.with_name(target.name + ".unfinished")
    with unfinished.open("wb") as out:
        out.write(json.dumps(asdict(manifest), indent=2).encode() + b"\n")
        _sync(out)
    _rename(unfinished, target)


def _sync(file: BinaryIO) -> None:
    file.flush()
    os.fsync(file.fileno())


def _rename(unfinished: Path, path: Path) -> None:
    unfinished.replace(path)
    folder = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(folder)  # else the name may be lost with the power
    finally:
        os.close(folder)


def digest_of(path: Path) -> str:
    """Raises OSError."""
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while piece := file.read(_PIECE):
            digest.update(piece)
    return digest.hexdigest()


def check_digest(name: str, sha256: str) -> None:
    """Raises ArchiveError unless the file is there as it was written."""
    path = path_of(name)
    try:
        found = digest_of(path)
    except OSError as exc:
        raise ArchiveError(f"{path} cannot be read: {exc.strerror}") from None
    if found != sha256:
        raise ArchiveError(f"{path} is not what was written: its SHA-256 is {found}")


def read_lines(name: str) -> Iterator[bytes]:
    """Raises OSError, EOFError or zlib.error for a file that is not whole."""
    with gzip.open(path_of(name)) as file:
        yield from file


def find_line(name: str, request_id: UUID) -> dict[str, Any] | None:
    """The record, by the table's columns; None: it is not in this file. Raises OSError."""
    wanted = str(request_id).encode()
    for line in read_lines(name):
        if wanted in line:
            record: dict[str, Any] = json.loads(line, parse_float=Decimal)
            if record["request_id"] == str(request_id):
                return record
    return None
