"""Whether this code may serve the schemas that it finds.

One that lacks a migration of the code's is not served: a query would miss a column. One with
migrations that the code does not know is served, since releases expand first; unless one of them
took away what this code uses. Which do so, upgrades note in the database (`Contraction`): who does
not know a migration cannot read it.
"""

import logging
import time
from collections.abc import Set
from functools import cache

from django.conf import settings
from django.db import connection
from django.db.migrations import Migration, operations

from agentflare import served
from agentflare.background import ProcessThread
from agentflare.connections import given_back, patiently
from agentflare.served import Refused
from tenants.registry.models import Contraction, Tenant
from tenants.registry.schemas import (
    Key,
    applied_migrations,
    disk_migrations,
    migrations_fingerprint,
    tenant_migrations,
    version_of,
)

logger = logging.getLogger(__name__)
# How long an answer is believed.
BELIEVED_S = 5.0
_NAMED = 3
_TAKES_AWAY = (
    operations.RemoveField,
    operations.DeleteModel,
    operations.RenameField,
    operations.RenameModel,
    operations.AlterModelTable,
)
_looked_at = -1e9


def look() -> Refused:
    """Ask the database, and note what is not served. Raises its errors, and notes nothing then."""
    global _looked_at
    before, refused = served.refused(), _look()
    _looked_at = time.monotonic()
    served.note(refused)
    if refused != before:
        _tell(refused)
    return refused


def current() -> Refused:
    """As it was within the last seconds: for tasks, which may ask the database."""
    if time.monotonic() - _looked_at > BELIEVED_S:
        return look()
    return served.refused()


def _look() -> Refused:
    with connection.cursor() as cursor:
        cursor.execute("SELECT to_regclass('public.django_migrations') IS NOT NULL")
        if not cursor.fetchone()[0]:
            return Refused("the database has no tables: run `manage.py upgrade`")
    applied = applied_migrations("public")
    if missing := shared_migrations() - applied:
        return Refused(f"the shared schema lacks {_names(missing)}: run `manage.py upgrade`")
    needs = {
        (row.app, row.name): (row.needs_app, row.needs_name) for row in Contraction.objects.all()
    }
    if why := _contracted(applied, needs):
        return Refused(f"the shared schema {why}")
    tenants, fine = {}, set[str]()
    others = Tenant.objects.exclude(schema_version=migrations_fingerprint())
    others = others.exclude(closure__deleted_at__isnull=False)
    for code, schema, version in others.values_list("code", "schema_name", "schema_version"):
        if version in fine:
            continue
        # A row may be older than its schema, which decides.
        applied = applied_migrations(schema)
        missing = tenant_migrations() - applied
        why = f"its schema lacks {_names(missing)}" if missing else _contracted(applied, needs)
        if why:
            tenants[code] = why
        elif version_of(applied) == version:
            fine.add(version)
    return Refused(tenants=tenants)


def _contracted(applied: set[Key], needs: dict[Key, Key]) -> str:
    """Why this code cannot do with what newer releases have taken away; empty: it can."""
    known = disk_migrations().keys()
    too_new = {key for key in applied - known if key in needs and needs[key] not in known}
    return f"is of a release that this one is too old for: {_names(too_new)}" if too_new else ""


def note_contractions() -> None:
    """Tell code of earlier releases which migrations take away. Before they run; a repeat changes
    nothing."""
    if Contraction._meta.db_table not in connection.introspection.table_names():
        return
    rows = [
        Contraction(app=app, name=name, needs_app=needs[0], needs_name=needs[1])
        for (app, name), migration in disk_migrations().items()
        if (needs := contracts(migration))
    ]
    Contraction.objects.bulk_create(rows, ignore_conflicts=True)


def contracts(migration: Migration) -> Key | None:
    """The migration that code must know to do with what this one leaves; None: whatever was there
    is there still.

    That is itself, unless it names an earlier one, in which its release forgot what is taken away
    now: `served_since = ("usage", "0012_forget_the_column")`.
    """
    since: Key | None = getattr(migration, "served_since", None)
    if since is None and any(_takes_away(each) for each in migration.operations):
        return (migration.app_label, migration.name)
    return since


def _takes_away(operation: object) -> bool:
    if isinstance(operation, operations.SeparateDatabaseAndState):
        return any(_takes_away(each) for each in operation.database_operations)
    return isinstance(operation, _TAKES_AWAY)


@cache
def shared_migrations() -> frozenset[Key]:
    labels = {app.rpartition(".")[2] for app in settings.SHARED_APPS}
    return frozenset(key for key in disk_migrations() if key[0] in labels)


def _names(keys: Set[Key]) -> str:
    first = [f"{app}.{name}" for app, name in sorted(keys)[:_NAMED]]
    more = [f"{len(keys) - _NAMED} more"] if len(keys) > _NAMED else []
    return ", ".join([*first, *more])


def _tell(refused: Refused) -> None:
    if refused.everything:
        logger.error("Nothing is served: %s", refused.everything)
    for code, why in refused.tenants.items():
        logger.error("Tenant %s is not served: %s", code, why)
    if not refused.everything and not refused.tenants:
        logger.warning("All schemas are served again")


def why_not_to_start() -> str:
    """For a process that starts: why it had better not. Its children have connections of their
    own."""
    try:
        with given_back():
            return look().everything
    finally:
        connection.close_pool()  # type: ignore[attr-defined]


def _watch() -> None:
    while True:
        time.sleep(BELIEVED_S)
        look_if_possible()


def look_if_possible() -> None:
    """While PostgreSQL is down, what was known stands."""
    try:
        patiently(look)
    except Exception as exc:  # whatever it is, it must not end the watch
        logger.warning("Versions of schemas cannot be read: %s", exc)


watch = ProcessThread("schema-versions", _watch)
