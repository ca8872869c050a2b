"""A backup put into an empty database and beside it.

The shared schema comes last, in one transaction: before it no process of ours finds a tenant. A
mark in the database says that a restore is under way until all is done; whoever was interrupted
begins again, and goes on where the shared schema is there already.
"""

import os
import re
import shutil
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from tempfile import NamedTemporaryFile
from typing import IO

from django.db import connection
from psycopg import sql

from agentflare.partitions import PARTITIONS
from agentflare.redis_store import RedisDownError, get_redis
from billing.admission import gate
from billing.admission.rebuilding import forget_processes, rebuild_gates
from billing.archive.files import digest_of, path_of
from billing.backup import programs
from billing.backup.calls import Call, PutBack, put_back, read_calls
from billing.backup.checking import verify_backup
from billing.backup.errors import BackupError
from billing.backup.making import ARCHIVES, CALLS, SHARED, Tell
from billing.backup.manifest import Manifest, Part
from billing.backup.snapshot import Books, books_of
from billing.settlement.services import busy_partitions, settle_partition
from tenants.registry.migrating import one_upgrade_at_a_time
from tenants.registry.models import Tenant
from tenants.registry.schemas import UNFINISHED

# What was there before is in the dump, and nobody waits for a commit of it.
_FAST = "-c synchronous_commit=off"
_ARCHIVE_NAME = re.compile(r"[0-9a-z]{6}/usage-\d{4}-\d\d\.\d+\.(jsonl\.gz|manifest\.json)")
_OURS = """
SELECT nspname || '.' || relname FROM pg_class c JOIN pg_namespace n ON n.oid = relnamespace
 WHERE nspname !~ '^pg_' AND nspname NOT IN ('information_schema', %(mark)s)
   AND NOT EXISTS (SELECT FROM pg_depend d WHERE d.objid = c.oid AND d.deptype = 'e')
 ORDER BY 1 LIMIT 1
"""


@dataclass(frozen=True, slots=True)
class Restored:
    """settled: events that Redis had, or got back, and that are booked now."""

    manifest: Manifest
    calls: PutBack
    settled: int


def restore_backup(
    folder: Path, *, jobs: int, takes_other_key: bool = False, tell: Tell
) -> Restored:
    """Call it while nothing is served, and audit afterwards. A repeat of a whole restore is
    refused, one of an interrupted restore ends it.

    takes_other_key: go on though SECRET_KEY is another one, and secrets are lost.
    Raises BackupError; before the first write, unless it says otherwise.
    """
    manifest = verify_backup(folder)
    manifest.require_this_release()
    if (here := programs.server_major()) < manifest.postgresql:
        raise BackupError(
            f"The server here is of PostgreSQL {here}, and the backup is of {manifest.postgresql}: "
            "restore it into that version, or a newer one."
        )
    if not takes_other_key:
        require_our_secret_key(manifest)
    require_redis()
    with one_upgrade_at_a_time():
        _begin(manifest)
        _put_archives(folder, manifest)
        if not _has_shared_schema():
            _restore_database(folder, manifest, jobs, tell)
        # Whoever was interrupted later has booked since.
        if _stage() != _checked(manifest):
            _require_same_books(manifest)
            _mark(_checked(manifest))
        tell(f"The database is as it was at {manifest.made_at}.")
        calls, settled = bring_up_to_date(read_calls(folder / CALLS))
        with connection.cursor() as cursor:
            cursor.execute(f'DROP SCHEMA "{UNFINISHED}"')
    return Restored(manifest, calls, settled)


def require_our_secret_key(manifest: Manifest) -> None:
    """Raises BackupError."""
    if not manifest.has_our_secret_key():
        raise BackupError(
            "SECRET_KEY is not the one that this was made under: tokens of upstreams, second "
            "factors, and secrets of webhooks and agents could not be read. Give that key as "
            "SECRET_KEY, or in SECRET_KEY_FALLBACKS. --other-secret-key goes on without them."
        )


def require_redis() -> None:
    """Raises BackupError."""
    try:
        get_redis().ping()
    except RedisDownError as exc:
        raise BackupError(f"Redis does not answer, and the gate must be made: {exc}.") from None


def _begin(manifest: Manifest) -> None:
    stage = _stage()
    if stage in {manifest.backup_id, _checked(manifest)}:
        return
    if stage is not None:
        raise BackupError(
            "The restore of another backup was interrupted here. Repeat that one, or make the "
            "database anew: `dropdb`, `createdb`."
        )
    with connection.cursor() as cursor:
        cursor.execute(_OURS, {"mark": UNFINISHED})
        if found := cursor.fetchone():
            raise BackupError(
                f"The database is not empty: it has {found[0]}. A backup goes into an empty one "
                "alone: make another with `createdb`, and name it in DATABASE_URL."
            )
        cursor.execute(f'CREATE SCHEMA "{UNFINISHED}"')
    _mark(manifest.backup_id)


def _checked(manifest: Manifest) -> str:
    return f"{manifest.backup_id} checked"


def _stage() -> str | None:
    """How far the restore got that was begun here; None: none was."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT obj_description(to_regnamespace(%s), 'pg_namespace')", [UNFINISHED])
        (stage,) = cursor.fetchone()
    return None if stage is None else str(stage)


def _mark(stage: str) -> None:
    with connection.cursor() as cursor:
        comment = sql.SQL("COMMENT ON SCHEMA {} IS {}").format(
            sql.Identifier(UNFINISHED), sql.Literal(stage)
        )
        cursor.execute(comment.as_string(None))


def _has_shared_schema() -> bool:
    with connection.cursor() as cursor:
        cursor.execute("SELECT to_regclass('public.registry_tenant') IS NOT NULL")
        (found,) = cursor.fetchone()
    return bool(found)


def _restore_database(folder: Path, manifest: Manifest, jobs: int, tell: Tell) -> None:
    dumps = [part for part in manifest.parts if part.schemas and part.file != SHARED]
    schemas = [schema for part in dumps for schema in part.schemas]
    _drop(schemas)

    def restore(file: str, *options: str) -> None:
        programs.run(
            "pg_restore",
            ["--no-owner", "--no-privileges", "--exit-on-error", *options, folder / file],
            options=_FAST if not options else "",
        )

    with ThreadPoolExecutor(jobs) as pool:
        done = pool.map(lambda part: restore(part.file), dumps)
        for number, _ in enumerate(done, start=1):
            tell(f"{number} of {len(dumps)} dumps of tenants")
    with NamedTemporaryFile("w", suffix=".list") as contents:
        # A new database has this schema.
        lines = programs.list_contents(folder / SHARED).splitlines(keepends=True)
        contents.writelines(line for line in lines if " SCHEMA - public " not in line)
        contents.flush()
        # With it on disk, all that was written before is.
        restore(SHARED, "--single-transaction", f"--use-list={contents.name}")
    with connection.cursor() as cursor:
        # Nothing has looked at the tables yet, and a plan that knows nothing of them is slow.
        cursor.execute("ANALYZE")


def _drop(schemas: Sequence[str]) -> None:
    """What an interrupted restore has left."""
    for schema in schemas:
        with connection.cursor() as cursor:
            name = sql.Identifier(schema).as_string(None)
            cursor.execute(f"DROP SCHEMA IF EXISTS {name} CASCADE")


def _put_archives(folder: Path, manifest: Manifest) -> None:
    for part in manifest.parts:
        if part.file.startswith(f"{ARCHIVES}/"):
            with (folder / part.file).open("rb") as source:
                put_archive(source, part)


def put_archive(source: IO[bytes], part: Part) -> None:
    """Below ARCHIVE_DIR. Raises BackupError where another file has its place."""
    name = part.file.removeprefix(f"{ARCHIVES}/")
    if not _ARCHIVE_NAME.fullmatch(name):
        raise BackupError(f"{part.file} is no name of an archive.")
    target = path_of(name)
    if target.exists():
        if digest_of(target) != part.sha256:
            raise BackupError(f"{target} is there already, and is another file: move it away.")
        return
    target.parent.mkdir(parents=True, exist_ok=True)
    unfinished = target.with_name(target.name + ".unfinished")
    with unfinished.open("wb") as out:
        shutil.copyfileobj(source, out)
        out.flush()
        os.fsync(out.fileno())
    unfinished.rename(target)


def _require_same_books(manifest: Manifest) -> None:
    found = list(_differing(manifest.books))
    if found:
        raise BackupError(
            f"Restored, but with other books than the backup says: {', '.join(found[:5])}. Nothing "
            "should be served by this database."
        )


def _differing(books: Sequence[Books]) -> Iterator[str]:
    """Slugs of tenants whose ledger has other figures here."""
    connection.ensure_connection()
    with connection.connection.cursor() as cursor:
        for each in books:
            if books_of(cursor, each.code, each.slug, each.schema) != each:
                yield each.slug


def bring_up_to_date(calls: Sequence[Call] = ()) -> tuple[PutBack, int]:
    """After the ledger has gone back: gates from the ledger, and what it lacks booked.

    Returns what was put back, and how many events left the outbox. Repeats change nothing.
    """
    forget_processes()
    rebuild_gates(Tenant.objects.all())
    # First what Redis has itself: it knows what those calls really cost.
    expire_dead_holds()
    settled = _settle()
    returned = put_back(calls)
    return returned, settled + _settle()


def expire_dead_holds() -> None:
    """Those of processes that lived when Redis was copied: captured for their progress.

    The sweeper gives their owners time to come back, which here nobody will.
    """
    now_ms = time.time() * 1000
    for partition in range(PARTITIONS):
        for request_id in get_redis().zrangebyscore(gate.holds_key(partition), "-inf", now_ms):
            gate.expire(partition=partition, request_id=request_id)


def _settle() -> int:
    return sum(settle_partition(partition=partition) for partition in busy_partitions())
