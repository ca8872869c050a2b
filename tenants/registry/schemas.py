"""Making and checking tenants' schemas.

A new schema is made by replaying SQL that was taken from the migrations once per release
(docs/adr/0002): some 30 ms, where running the migrations takes the better part of a second.
"""

import hashlib
import logging
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from functools import cache
from typing import Any

from django.conf import settings
from django.core.management import call_command
from django.db import connection, transaction
from django.db.migrations import Migration
from django.db.migrations.loader import MigrationLoader
from django_tenants.utils import schema_context

from agentflare.ids import BASE36, random_code
from tenants.registry.models import SchemaTemplate, Tenant

logger = logging.getLogger(__name__)

# App and name of a migration.
Key = tuple[str, str]

# Statements of a migration run that make nothing, or are not needed one by one.
_NOT_REPLAYED = ("SELECT", "SET", "SHOW", "SAVEPOINT", "RELEASE", "ROLLBACK", "CREATE SCHEMA")
_MARK_AS_APPLIED = 'INSERT INTO "django_migrations"'
_CHANGES_ROWS = ("INSERT", "UPDATE", "DELETE")

# A schema as text, without its own name: equal text, equal schema.
_DESCRIBE_SCHEMA = """
SELECT string_agg(line, E'\n' ORDER BY line) FROM (
    SELECT concat_ws(' ', table_name, column_name, data_type, character_maximum_length,
                     is_nullable, replace(column_default, %(schema)s, '')) AS line
      FROM information_schema.columns WHERE table_schema = %(schema)s
    UNION ALL
    SELECT replace(indexdef, %(schema)s, '') FROM pg_indexes WHERE schemaname = %(schema)s
    UNION ALL
    SELECT concat_ws(' ', conname, replace(pg_get_constraintdef(oid), %(schema)s, ''))
      FROM pg_constraint WHERE connamespace = %(schema)s::regnamespace
) AS lines
"""

# A schema of this name marks a database into which a backup is being restored.
UNFINISHED = "restore_unfinished"


class SchemaVersionError(Exception):
    """A tenant's schema is not at the code's version."""


@contextmanager
def tenant_schema(tenant_code: str) -> Iterator[None]:
    """Work in a tenant's schema. Nested use returns to the schema before."""
    with schema_context(schema_name(tenant_code)):
        yield


def schema_name(tenant_code: str) -> str:
    return f"t_{tenant_code}"


def create_schema(name: str) -> None:
    """Make a tenant's schema with all its tables. Call it inside a transaction."""
    with connection.cursor() as cursor:
        cursor.execute(f'CREATE SCHEMA "{name}"')
    template = SchemaTemplate.objects.filter(fingerprint=migrations_fingerprint()).first()
    if template is None:
        logger.warning("No schema template for this release: run `manage.py upgrade`")
        migrate_schema(name)
        return
    replay(template.sql, into=name)


def replay(sql: str, *, into: str) -> None:
    with schema_context(into), connection.cursor() as cursor:
        cursor.execute(sql)


def migrate_schema(name: str) -> None:
    call_command("migrate_schemas", tenant=True, schema_name=name, interactive=False, verbosity=0)


def build_template() -> SchemaTemplate:
    """Take the SQL of all tenant migrations and prove that it makes the same schema.

    A repeat for the same migrations returns what is there. Raises SchemaVersionError
    when a replay differs from the migrated schema; then nothing is stored.
    """
    fingerprint = migrations_fingerprint()
    if template := SchemaTemplate.objects.filter(fingerprint=fingerprint).first():
        return template
    migrated, replayed = (f"build_{random_code(10, BASE36)}" for _ in range(2))
    try:
        sql = take_sql(lambda: _create_by_migrations(migrated)) + _mark_as_applied(migrated)
        with transaction.atomic():
            with connection.cursor() as cursor:
                cursor.execute(f'CREATE SCHEMA "{replayed}"')
            replay(sql, into=replayed)
        if describe_schema(migrated) != describe_schema(replayed):
            raise SchemaVersionError("Replaying the migrations' SQL made a different schema.")
    finally:
        with connection.cursor() as cursor:
            for name in (migrated, replayed):
                cursor.execute(f'DROP SCHEMA IF EXISTS "{name}" CASCADE')
    template, _ = SchemaTemplate.objects.get_or_create(
        fingerprint=fingerprint, defaults={"sql": sql}
    )
    return template


def _create_by_migrations(name: str) -> None:
    with connection.cursor() as cursor:
        cursor.execute(f'CREATE SCHEMA "{name}"')
    migrate_schema(name)


def take_sql(work: Callable[[], None], *, with_idle: bool = False) -> str:
    """Every statement of `work` that made something, as one script, with values put in.

    Rows of `django_migrations` are left out. with_idle: also what changed no row here, for schemas
    with rows that it would change.
    """
    statements: list[str] = []

    def record(execute: Any, sql: Any, params: Any, many: bool, context: Any) -> Any:
        result = execute(sql, params, many, context)
        text, cursor = str(sql).strip(), context["cursor"].cursor
        # Several statements in one begin with whatever they begin with.
        is_one = ";" not in text.rstrip(";")
        if text.startswith(_MARK_AS_APPLIED) or (is_one and text.startswith(_NOT_REPLAYED)):
            return result
        # What old rows need finds none in a new schema.
        is_idle = text.startswith(_CHANGES_ROWS) and not cursor.rowcount
        if is_one and is_idle and not with_idle:
            return result
        rows = params if many else [params]
        statements.extend(
            cursor.mogrify(text, row) if row else text.replace("%%", "%") for row in rows
        )
        return result

    with connection.execute_wrapper(record):
        work()
    return ";\n".join(statement.rstrip().rstrip(";") for statement in statements) + ";"


def _mark_as_applied(name: str) -> str:
    """A statement for all rows of a schema's `django_migrations`, which has one for each."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT string_agg(format('(%L, %L, %L)', app, name, applied), ', ' ORDER BY id)"  # noqa: S608
            f' FROM "{name}".django_migrations'
        )
        (rows,) = cursor.fetchone()
    return f"\n{_MARK_AS_APPLIED} (app, name, applied) VALUES {rows};"


def describe_schema(name: str, *, cursor: Any = None) -> str:
    """cursor: of a connection that sees what is not committed yet; its `search_path` is not
    touched."""
    if cursor is None:
        with schema_context("public"), connection.cursor() as own:
            return describe_schema(name, cursor=own)
    # How constraints are told depends on it.
    cursor.execute("SELECT current_setting('search_path')")
    (path,) = cursor.fetchone()
    cursor.execute("SET search_path = public")
    cursor.execute(_DESCRIBE_SCHEMA, {"schema": name})
    (text,) = cursor.fetchone()
    cursor.execute("SELECT set_config('search_path', %s, false)", [path])
    return text or ""


def is_half_restored() -> bool:
    """Whether a backup is being put into this database, or was not put into it to the end."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT to_regnamespace(%s) IS NOT NULL", [UNFINISHED])
        (is_there,) = cursor.fetchone()
    return bool(is_there)


def migrations_fingerprint() -> str:
    """A digest of the names of all migrations of a tenant's schema, in order."""
    return version_of(tenant_migrations())


def version_of(migrations: Iterable[Key]) -> str:
    """Those of other schemas are left out: each schema has rows for all."""
    labels = _labels()
    names = "\n".join(sorted(f"{app}.{name}" for app, name in migrations if app in labels))
    return hashlib.sha256(names.encode()).hexdigest()


@cache
def _labels() -> frozenset[str]:
    return frozenset(app.rpartition(".")[2] for app in settings.TENANT_APPS)


def note_version(schema: str) -> None:
    """In the tenant's row, as the schema is."""
    version = version_of(applied_migrations(schema))
    Tenant.objects.filter(schema_name=schema).exclude(schema_version=version).update(
        schema_version=version
    )


@cache
def tenant_migrations() -> frozenset[Key]:
    """App and name of each."""
    return frozenset(key for key in disk_migrations() if key[0] in _labels())


@cache
def disk_migrations() -> dict[Key, Migration]:
    """All schemas'. They are of the code that runs, which does not change."""
    return MigrationLoader(connection=None).disk_migrations


def tenants_behind() -> list[Tenant]:
    """Tenants whose schema lacks a migration that the code has."""
    wanted = tenant_migrations()
    return [
        tenant for tenant in Tenant.objects.all() if wanted - applied_migrations(tenant.schema_name)
    ]


def applied_migrations(schema: str) -> set[Key]:
    with connection.cursor() as cursor:
        cursor.execute(f'SELECT app, name FROM "{schema}".django_migrations')  # noqa: S608  # our own name
        return set(cursor.fetchall())
