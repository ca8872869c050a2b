"""One moment of the database, for many readers.

A single dump would lock every table of every tenant at once, which is more than PostgreSQL has room
for. So one transaction is held open, and each dump of some schemas sees what it sees.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import psycopg
from django.db import connection
from psycopg import sql

from billing.backup.errors import BackupError

Cursor = psycopg.Cursor[Any]


@dataclass(frozen=True, slots=True)
class Books:
    """A tenant's ledger and records in figures. accounts: balance in nUSD by account."""

    code: str
    slug: str
    schema: str
    accounts: dict[str, int]
    version: int
    entries: int
    records: int


@dataclass(frozen=True, slots=True)
class Snapshot:
    """name: for `SET TRANSACTION SNAPSHOT` and `pg_dump --snapshot`."""

    name: str
    cursor: Cursor


@contextmanager
def shared_snapshot() -> Iterator[Snapshot]:
    """On a connection of its own, which stays open: vacuum keeps what it sees meanwhile."""
    with psycopg.connect(**connection.get_connection_params()) as holder, holder.cursor() as cursor:
        cursor.execute("SET idle_in_transaction_session_timeout = 0")
        holder.commit()
        cursor.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY")
        cursor.execute("SELECT pg_export_snapshot()")
        (name,) = _one(cursor)
        yield Snapshot(name, cursor)


def applied_migrations(cursor: Cursor, schema: str = "public") -> set[str]:
    """`app.name` of each. Raises BackupError for a database without any."""
    try:
        cursor.execute(
            sql.SQL("SELECT app || '.' || name FROM {}.django_migrations").format(
                sql.Identifier(schema)
            )
        )
    except psycopg.errors.UndefinedTable:
        raise BackupError("This database has no tables of ours: `manage.py upgrade`.") from None
    return {name for (name,) in cursor.fetchall()}


def all_books(cursor: Cursor) -> list[Books]:
    cursor.execute("SELECT code, slug, schema_name FROM public.registry_tenant ORDER BY code")
    return [books_of(cursor, *row) for row in cursor.fetchall()]


def books_of(cursor: Cursor, code: str, slug: str, schema: str) -> Books:
    names = {
        name: sql.Identifier(schema, name)
        for name in ("ledger_ledgeraccount", "ledger_journalentry", "usage_usagerecord")
    }
    cursor.execute(
        sql.SQL(
            "SELECT (SELECT coalesce(json_object_agg(code, balance_nusd), '{{}}')"
            "          FROM {ledger_ledgeraccount}),"
            " (SELECT coalesce(max(version) FILTER (WHERE code = 'credit'), 0)"
            "    FROM {ledger_ledgeraccount}),"
            " (SELECT count(*) FROM {ledger_journalentry}),"
            " (SELECT count(*) FROM {usage_usagerecord})"
        ).format(**names)
    )
    accounts, version, entries, records = _one(cursor)
    return Books(code, slug, schema, dict(sorted(accounts.items())), version, entries, records)


def archives_of(cursor: Cursor, schema: str) -> list[tuple[str, str]]:
    """Name below ARCHIVE_DIR and SHA-256 of each file that stands for records of a tenant."""
    cursor.execute(
        sql.SQL("SELECT file, sha256 FROM {} ORDER BY file").format(
            sql.Identifier(schema, "usage_usagearchive")
        )
    )
    return [(name, digest) for name, digest in cursor.fetchall()]


def _one(cursor: Cursor) -> Any:
    return cursor.fetchone()
