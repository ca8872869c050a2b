"""A backup of the whole installation, in a folder.

    manifest.json         what there is, its digests, every tenant's books
    calls.jsonl           calls that the ledger has not booked
    tenants-0001.dump …   tenants' schemas, some to a dump
    shared.dump           the shared schema
    archives/             files of archived usage records

All dumps are of one moment. The folder has another name until all of it is on disk.
"""

import os
import shutil
import uuid
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

from django.conf import settings

from billing.archive.files import ArchiveError, check_digest, manifest_name, path_of
from billing.backup import programs
from billing.backup.calls import pending_calls, write_calls
from billing.backup.errors import BackupError
from billing.backup.manifest import NAME, Manifest, key_mark, part_of
from billing.backup.snapshot import (
    Books,
    Snapshot,
    all_books,
    applied_migrations,
    archives_of,
    shared_snapshot,
)
from tenants.registry.migrating import one_upgrade_at_a_time

Tell = Callable[[str], None]

SHARED, CALLS, ARCHIVES = "shared.dump", "calls.jsonl", "archives"
# pg_dump locks every table that it dumps, and reads the whole catalogue each time: with two dumps
# at once these are some 2,500 locks, of the 6,400 that PostgreSQL has room for as it comes.
_SCHEMAS_TO_A_DUMP = 50


def make_backup(
    folder: Path, *, jobs: int, has_archives: bool, has_calls: bool, tell: Tell
) -> Manifest:
    """Calls go on being served meanwhile; an upgrade waits.

    jobs: dumps at once. has_archives, has_calls: whether files of archived records, and what stands
    in Redis, come along. Raises BackupError, or RedisDownError; then there is no such folder.
    """
    programs.require("pg_dump", major=programs.server_major())
    made_at = datetime.now(UTC)
    with one_upgrade_at_a_time(), new_folder(folder) as unfinished:
        # Before the snapshot: see calls.py.
        calls = pending_calls() if has_calls else []
        write_calls(unfinished / CALLS, calls)
        with shared_snapshot() as snapshot:
            migrations = applied_migrations(snapshot.cursor)
            books = all_books(snapshot.cursor)
            tell(f"{len(books)} tenants, {len(calls)} calls that are not booked.")
            dumps = _dump(snapshot, unfinished, [each.schema for each in books], jobs, tell)
            archives = list(_copy_archives(snapshot, unfinished, books)) if has_archives else []
        names = [(CALLS, ()), *dumps, *((name, ()) for name in archives)]
        manifest = Manifest(
            backup_id=uuid.uuid4().hex,
            made_at=made_at.isoformat(timespec="milliseconds"),
            postgresql=programs.server_major(),
            migrations=sorted(migrations),
            secret_key=key_mark(settings.SECRET_KEY),
            parts=[part_of(unfinished, name, schemas) for name, schemas in names],
            books=books,
            has_calls=has_calls,
            has_archives=has_archives,
        )
        manifest.write(unfinished / NAME)
    return manifest


@contextmanager
def new_folder(folder: Path) -> Iterator[Path]:
    """Under another name until the block has ended well, then on disk under its own.

    Raises BackupError where something has that name already.
    """
    if folder.exists():
        raise BackupError(f"{folder} is there already: each backup has a folder of its own.")
    unfinished = folder.with_name(folder.name + ".unfinished")
    try:
        # One that was interrupted has left it.
        shutil.rmtree(unfinished, ignore_errors=True)
        unfinished.mkdir(mode=0o700, parents=True)
    except OSError as exc:
        raise BackupError(f"{unfinished} cannot be made: {exc.strerror}.") from None
    try:
        yield unfinished
        for path in [*unfinished.rglob("*"), unfinished]:
            _sync(path)
        unfinished.rename(folder)
        _sync(folder.parent)
    except BaseException:
        shutil.rmtree(unfinished, ignore_errors=True)
        raise


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _dump(
    snapshot: Snapshot, folder: Path, schemas: Sequence[str], jobs: int, tell: Tell
) -> list[tuple[str, Sequence[str]]]:
    """Returns name and schemas of each dump."""
    groups = [
        schemas[at : at + _SCHEMAS_TO_A_DUMP] for at in range(0, len(schemas), _SCHEMAS_TO_A_DUMP)
    ]
    dumps: list[tuple[str, Sequence[str]]] = [(SHARED, ["public"])]
    dumps += [(f"tenants-{number:04}.dump", group) for number, group in enumerate(groups, start=1)]

    def dump(name: str, of: Sequence[str]) -> None:
        options = ["--format=custom", "--no-owner", "--no-privileges", "--no-sync"]
        wanted = [f'--schema="{schema}"' for schema in of]
        file = f"--file={folder / name}"
        programs.run("pg_dump", [*options, f"--snapshot={snapshot.name}", *wanted, file])

    with ThreadPoolExecutor(jobs) as pool:
        for number, _ in enumerate(pool.map(lambda each: dump(*each), dumps), start=1):
            tell(f"{number} of {len(dumps)} dumps")
    return dumps


def _copy_archives(snapshot: Snapshot, folder: Path, books: Sequence[Books]) -> Iterator[str]:
    """Each file is older than its row, and is never changed. Names below the backup's folder."""
    for each in books:
        for name, digest in archives_of(snapshot.cursor, each.schema):
            try:
                check_digest(name, digest)
            except ArchiveError as exc:
                raise BackupError(
                    f"{exc}. ARCHIVE_DIR must be that of the worker; --without-archives leaves "
                    "these files to you."
                ) from None
            for each_name in (name, manifest_name(name)):
                target = folder / ARCHIVES / each_name
                target.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
                # What people read without the database is not needed.
                if each_name == name or path_of(each_name).exists():
                    shutil.copyfile(path_of(each_name), target)
                    yield f"{ARCHIVES}/{each_name}"
