"""Bringing many tenants' schemas to this release's version.

Running migrations costs a second for each schema, nearly all of it in Python. So one schema of each
version is migrated by Django while its SQL is taken down; the others get that SQL, each in one
transaction, several at once (docs/adr/0002). What cannot be taken down is migrated one by one.

Each schema is at the old version or at the new one, never between: whoever is stopped begins
again with those that are left.
"""

import logging
import time
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from typing import Any

import psycopg
from django.db import connection, transaction
from django.db.migrations import Migration, RunPython
from django.db.migrations.loader import MigrationLoader

from tenants.registry.models import Tenant
from tenants.registry.schemas import (
    Key,
    SchemaVersionError,
    applied_migrations,
    describe_schema,
    disk_migrations,
    migrate_schema,
    note_version,
    take_sql,
    tenant_migrations,
    version_of,
)
from tenants.registry.versions import note_contractions

logger = logging.getLogger(__name__)
Told = Callable[["Progress"], None]

# One upgrade at a time, whoever starts how many. Any number will do.
_UPGRADE_LOCK = 7_265_031
# Old code serves meanwhile: rather begin a schema again than make its calls wait.
_LOCK_TIMEOUT = "3s"
_TRIES = 5
_SELECT_MARKS = "SELECT app, name FROM django_migrations"
_NOTE_VERSION = "UPDATE public.registry_tenant SET schema_version = %s WHERE schema_name = %s"
_INSERT_MARK = "INSERT INTO django_migrations (app, name, applied) VALUES (%s, %s, now())"


@dataclass(frozen=True, slots=True)
class Progress:
    """failed: address of a tenant → why its schema is as it was."""

    done: int
    of: int
    failed: dict[str, str]
    seconds: float

    @property
    def seconds_left(self) -> float:
        ended = self.done + len(self.failed)
        return self.seconds / ended * (self.of - ended) if ended else 0.0


@dataclass(frozen=True, slots=True)
class Version:
    """Schemas that lack the same migrations, which are in the order of their running."""

    missing: tuple[Key, ...]
    tenants: Sequence[Tenant]


@contextmanager
def one_upgrade_at_a_time() -> Iterator[None]:
    """Waits for the one that runs. On a connection of its own: migrating gives Django's back."""
    with psycopg.connect(**connection.get_connection_params()) as lock:
        lock.execute("SELECT pg_advisory_lock(%s)", [_UPGRADE_LOCK])
        yield


def versions_behind(tenants: Sequence[Tenant] | None = None) -> list[Version]:
    """Those that are to be migrated, of some tenants or of all, by what they lack."""
    wanted, order = tenant_migrations(), _order()
    groups: dict[tuple[Key, ...], list[Tenant]] = defaultdict(list)
    for tenant in Tenant.objects.all() if tenants is None else tenants:
        missing = wanted - applied_migrations(tenant.schema_name)
        if missing:
            groups[tuple(sorted(missing, key=order.__getitem__))].append(tenant)
    return [Version(missing, found) for missing, found in groups.items()]


def migrate_all(
    versions: Sequence[Version], *, jobs: int = 4, tell: Told = lambda progress: None
) -> Progress:
    """Bring them all to this release. A schema that fails stays as it was, and the others go on.

    jobs: how many at once, each with a connection of its own. tell: is told after each schema.
    Call it within `one_upgrade_at_a_time`. Raises SchemaVersionError before the third schema of a
    version where replaying makes another schema than the migrations do.
    """
    note_contractions()
    run = _Run(of=sum(len(version.tenants) for version in versions), tell=tell)
    for version in versions:
        if len(version.tenants) > 1 and can_be_replayed(version.missing):
            _replay(version, run, jobs)
        else:
            for tenant in version.tenants:
                run.note(tenant, partial(_migrate, tenant))
    return run.progress


def note_versions() -> None:
    """In all tenants' rows, as their schemas are: for whatever has changed one by another way."""
    for tenant in Tenant.objects.all():
        note_version(tenant.schema_name)


def _migrate(tenant: Tenant) -> None:
    migrate_schema(tenant.schema_name)
    note_version(tenant.schema_name)


def sql_of(version: Version) -> str:
    """What its first schema would be migrated by; nothing is changed."""
    with transaction.atomic():
        sql = take_sql(lambda: migrate_schema(version.tenants[0].schema_name), with_idle=True)
        transaction.set_rollback(True)
    return sql


def can_be_replayed(missing: Sequence[Key]) -> bool:
    """Whether their SQL is the same in every schema, and can run in one transaction."""
    return all(_is_plain(disk_migrations()[key]) for key in missing)


def _is_plain(migration: Migration) -> bool:
    return migration.atomic and not any(
        isinstance(operation, RunPython) and operation.code is not RunPython.noop
        for operation in migration.operations
    )


class _Run:
    """What is done, and who is told."""

    def __init__(self, *, of: int, tell: Told) -> None:
        self._of, self._tell, self._begun = of, tell, time.monotonic()
        self._done, self._failed = 0, dict[str, str]()

    @property
    def progress(self) -> Progress:
        seconds = time.monotonic() - self._begun
        return Progress(self._done, self._of, dict(self._failed), seconds)

    def note(self, tenant: Tenant, work: Callable[[], object]) -> bool:
        """Whether it went well."""
        try:
            work()
        except SchemaVersionError:
            raise
        except Exception as exc:
            logger.exception("The schema of %s could not be migrated", tenant.slug)
            self._failed[tenant.slug] = str(exc).strip().partition("\n")[0] or type(exc).__name__
        else:
            self._done += 1
        self._tell(self.progress)
        return tenant.slug not in self._failed


def _replay(version: Version, run: _Run, jobs: int) -> None:
    first, second, *rest = version.tenants
    taken: list[str] = []

    def take() -> None:
        taken.append(take_sql(lambda: migrate_schema(first.schema_name), with_idle=True))
        note_version(first.schema_name)

    if not run.note(first, take):
        # What it cannot, the others probably cannot either; each says so by itself.
        for tenant in version.tenants[1:]:
            run.note(tenant, partial(_migrate, tenant))
        return
    sql, expected = taken[0], describe_schema(first.schema_name)
    params = connection.get_connection_params()

    def replay(tenant: Tenant, *, expected: str = "") -> None:
        _replay_into(tenant.schema_name, sql, version.missing, params, expected=expected)

    # The second one shows whether the others can be trusted to come out the same.
    run.note(second, lambda: replay(second, expected=expected))
    with ThreadPoolExecutor(max_workers=jobs) as pool:
        running = {pool.submit(replay, tenant): tenant for tenant in rest}
        for future in as_completed(running):
            run.note(running[future], future.result)


def _replay_into(
    schema: str,
    sql: str,
    missing: Sequence[Key],
    params: dict[str, Any],
    *,
    expected: str,
) -> None:
    """In one transaction, on a connection of its own. expected: what it must look like then."""
    for tries_left in reversed(range(_TRIES)):
        try:
            with psycopg.connect(**_plain(params)) as own, own.cursor() as cursor:
                cursor.execute(f"SET LOCAL lock_timeout = '{_LOCK_TIMEOUT}'")
                cursor.execute(f'SET LOCAL search_path = "{schema}", public')
                applied = set(cursor.execute(_SELECT_MARKS).fetchall())
                if applied & set(missing):
                    raise SchemaVersionError(f"{schema} has changed its version meanwhile.")
                cursor.execute(sql)
                cursor.executemany(_INSERT_MARK, missing)
                cursor.execute(_NOTE_VERSION, [version_of({*applied, *missing}), schema])
                if expected and describe_schema(schema, cursor=cursor) != expected:
                    raise SchemaVersionError(
                        f"Replaying the migrations' SQL in {schema} makes a different schema."
                    )
            return
        except psycopg.errors.LockNotAvailable:
            if not tries_left:
                raise
            time.sleep(0.2)


def _plain(params: dict[str, Any]) -> dict[str, Any]:
    """Without what Django's backend adds for itself: rows are tuples, and types psycopg's own."""
    return {
        name: value
        for name, value in params.items()
        if name not in ("cursor_factory", "context", "prepare_threshold")
    }


def _order() -> dict[Key, int]:
    """Migration → its place among all, each after those it depends on."""
    loader = MigrationLoader(connection=None)
    order: dict[Key, int] = {}
    for key in sorted(tenant_migrations()):
        for needed in loader.graph.forwards_plan(key):
            order.setdefault(needed, len(order))
    return order
