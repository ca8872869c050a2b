"""One tenant in a file: a tar archive that `restore_tenant` takes, here or elsewhere.

    manifest.json   as of a whole backup; `facts` has what only one tenant's has
    rows.json       its rows in the shared schema, by model
    tables/…        its own tables, as COPY writes them
    calls.jsonl     its calls that the ledger has not booked
    archives/…      files of its archived usage records

A schema is made from the release's template, so nothing but rows has to be kept.
"""

import json
import os
import shutil
import tarfile
import uuid
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from django.apps import apps
from django.conf import settings
from psycopg import sql

from billing.admission.models import FallbackHold
from billing.archive.files import ArchiveError, check_digest, path_of
from billing.backup.calls import pending_calls, write_calls
from billing.backup.decisions import DECISIONS, Comes
from billing.backup.errors import BackupError
from billing.backup.making import ARCHIVES, CALLS
from billing.backup.manifest import NAME, Manifest, key_mark, part_of
from billing.backup.programs import server_major
from billing.backup.snapshot import (
    Cursor,
    applied_migrations,
    archives_of,
    books_of,
    shared_snapshot,
)
from tenants.registry.models import Tenant
from tenants.registry.schemas import tenant_migrations

ROWS, TABLES = "rows.json", "tables"
KIND = "tenant"

_TABLES = """
SELECT c.relname, array_agg(a.attname::text ORDER BY a.attnum)
  FROM pg_class c JOIN pg_attribute a ON a.attrelid = c.oid
 WHERE c.relnamespace = %s::regnamespace AND c.relkind = 'r' AND c.relname <> 'django_migrations'
   AND a.attnum > 0 AND NOT a.attisdropped AND a.attgenerated = ''
 GROUP BY 1 ORDER BY 1
"""
# Whom its rows name by number: these are other people's where the tenant goes to.
_PEOPLE = """
SELECT id, email FROM public.users_user
 WHERE id IN (SELECT user_id FROM public.users_membership WHERE tenant_id = %(id)s
               UNION SELECT invited_by_id FROM public.members_invitation WHERE tenant_id = %(id)s
               UNION SELECT accepted_by_id FROM public.members_invitation WHERE tenant_id = %(id)s
               UNION SELECT user_id FROM public.onboarding_trialgrant WHERE tenant_id = %(id)s
               UNION SELECT member_id FROM {keys})
"""
_PRICES = """
SELECT id, ai_model, starts_at::text, markup_percent::text FROM public.prices_priceversion
 WHERE id IN (SELECT DISTINCT price_version_id FROM {records})
"""


def export_tenant(tenant: Tenant, file: Path) -> Manifest:
    """Its calls go on being served meanwhile, and what they book later is not in the file.

    Raises BackupError, or RedisDownError; then there is no such file.
    """
    if file.exists():
        raise BackupError(f"{file} is there already.")
    refuse_in_outage(tenant)
    with TemporaryDirectory(dir=file.parent, prefix=file.name + ".") as name:
        folder = Path(name)
        manifest = _write(tenant, folder)
        manifest.write(folder / NAME)
        unfinished = folder / "whole"
        with tarfile.open(unfinished, "w", format=tarfile.PAX_FORMAT) as tar:
            for each in (NAME, *(part.file for part in manifest.parts)):
                tar.add(folder / each, each)
        descriptor = os.open(unfinished, os.O_RDONLY)
        os.fsync(descriptor)
        os.close(descriptor)
        unfinished.chmod(0o600)
        unfinished.rename(file)
    return manifest


def refuse_in_outage(tenant: Tenant) -> None:
    """Raises BackupError while calls of the tenant are known to PostgreSQL's gate alone."""
    if FallbackHold.objects.filter(tenant_code=tenant.code).exists():
        raise BackupError(
            "Redis is down, or was a moment ago, and PostgreSQL holds credit for calls of this "
            "tenant: wait until it is back."
        )


def _write(tenant: Tenant, folder: Path) -> Manifest:
    made_at = datetime.now(UTC)
    # Before the snapshot: see calls.py.
    write_calls(folder / CALLS, pending_calls(tenant_code=tenant.code))
    with shared_snapshot() as snapshot:
        cursor, schema = snapshot.cursor, tenant.schema_name
        wanted = {f"{app}.{name}" for app, name in tenant_migrations()}
        if wanted - applied_migrations(cursor, schema):
            raise BackupError(
                f"The schema of {tenant.slug} is not at this release's version: `manage.py "
                f"migrate_tenants {tenant.slug}`."
            )
        names: dict[str, Any] = {"id": tenant.pk, "code": tenant.code}
        rows = {
            label: _rows(cursor, label, decision.where, names)
            for label, decision in DECISIONS.items()
            if isinstance(decision, Comes)
        }
        (folder / ROWS).write_text(json.dumps(rows), encoding="utf-8")
        tables = dict(_copy_tables(cursor, schema, folder))
        archives = list(_copy_archives(cursor, schema, folder))
        facts = {
            "plan": tenant.plan.slug if tenant.plan else None,
            "tables": tables,
            "people": _pairs(cursor, _PEOPLE, schema, names),
            "prices": _pairs(cursor, _PRICES, schema, names),
        }
        books = books_of(cursor, tenant.code, tenant.slug, schema)
        migrations = sorted(applied_migrations(cursor))
    files = [ROWS, CALLS, *(f"{TABLES}/{table}" for table in tables), *archives]
    return Manifest(
        backup_id=uuid.uuid4().hex,
        made_at=made_at.isoformat(timespec="milliseconds"),
        postgresql=server_major(),
        migrations=migrations,
        secret_key=key_mark(settings.SECRET_KEY),
        parts=[part_of(folder, name) for name in files],
        books=[books],
        has_calls=True,
        has_archives=True,
        kind=KIND,
        facts=facts,
    )


def _rows(cursor: Cursor, label: str, where: str, names: dict[str, Any]) -> list[Any]:
    table = sql.Identifier("public", apps.get_model(label)._meta.db_table)
    cursor.execute("SET LOCAL search_path = public")
    found = sql.SQL("SELECT row_to_json(t) FROM {} t WHERE {}").format(table, sql.SQL(where))
    cursor.execute(found, names)
    return [row for (row,) in cursor.fetchall()]


def _copy_tables(cursor: Cursor, schema: str, folder: Path) -> Iterator[tuple[str, list[str]]]:
    """Name and columns of each."""
    (folder / TABLES).mkdir()
    cursor.execute(_TABLES, [schema])
    for table, columns in cursor.fetchall():
        copy = sql.SQL("COPY {} ({}) TO STDOUT").format(
            sql.Identifier(schema, table), sql.SQL(", ").join(map(sql.Identifier, columns))
        )
        with cursor.copy(copy) as rows, (folder / TABLES / table).open("wb") as file:
            for piece in rows:
                file.write(piece)
        yield table, columns


def _copy_archives(cursor: Cursor, schema: str, folder: Path) -> Iterator[str]:
    for name, digest in archives_of(cursor, schema):
        try:
            check_digest(name, digest)
        except ArchiveError as exc:
            raise BackupError(f"{exc}. ARCHIVE_DIR must be that of the worker.") from None
        target = folder / ARCHIVES / name
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(path_of(name), target)
        yield f"{ARCHIVES}/{name}"


def _pairs(cursor: Cursor, query: str, schema: str, names: dict[str, Any]) -> dict[str, Any]:
    """By the first column, as JSON has it: what else the row says."""
    statement = sql.SQL(query).format(
        keys=sql.Identifier(schema, "keys_apikey"),
        records=sql.Identifier(schema, "usage_usagerecord"),
    )
    cursor.execute(statement, names)
    return {str(key): list(rest) for key, *rest in cursor.fetchall()}
