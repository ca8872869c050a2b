"""Many schemas are brought to this release's version: the same for all, and whatever stops it."""

from collections.abc import Iterator
from io import StringIO
from typing import Any
from uuid import uuid4

import psycopg
import pytest
from django.core.management import call_command
from django.core.management.base import CommandError
from django.db import connection

from tenants.registry import migrating
from tenants.registry.migrating import migrate_all, versions_behind
from tenants.registry.models import Tenant
from tenants.registry.schemas import (
    SchemaVersionError,
    applied_migrations,
    describe_schema,
    replay,
    take_sql,
    tenant_migrations,
    tenant_schema,
)
from tenants.registry.services import create_tenant
from tenants.webhooks.models import WebhookEndpoint

# What is undone before each test: a new table, a column, and data are made again.
APP, BEFORE = "usage", "0004"


@pytest.fixture(scope="module")
def undoing(_database: None) -> str:
    """What brings a schema to an earlier release, as SQL: Django needs a second for each."""
    tenant = create_tenant(slug=f"old-{uuid4().hex[:8]}", name="Old")
    options: dict[str, Any] = {"tenant": True, "interactive": False, "verbosity": 0}
    schema = tenant.schema_name
    sql = take_sql(
        lambda: call_command("migrate_schemas", APP, BEFORE, schema_name=schema, **options)
    )
    remove(tenant)
    return sql


@pytest.fixture
def old(undoing: str) -> Iterator[list[Tenant]]:
    """Four tenants of an earlier release."""
    mark = uuid4().hex[:8]
    tenants = [create_tenant(slug=f"old{number}-{mark}", name="Old") for number in range(4)]
    for tenant in tenants:
        replay(undoing, into=tenant.schema_name)
    yield tenants
    for tenant in tenants:
        remove(tenant)


def remove(tenant: Tenant) -> None:
    with connection.cursor() as cursor:
        cursor.execute(f'DROP SCHEMA "{tenant.schema_name}" CASCADE')
    Tenant.objects.filter(pk=tenant.pk).delete()


def are_new(*tenants: Tenant) -> list[bool]:
    return [not tenant_migrations() - applied_migrations(each.schema_name) for each in tenants]


def test_all_come_out_as_a_new_schema_does(acme: Any, old: list[Tenant]) -> None:
    assert are_new(*old) == [False] * 4
    told: list[int] = []

    (version,) = versions_behind(old)
    assert [app for app, _ in version.missing] == [APP] * len(version.missing)
    ended = migrate_all([version], jobs=3, tell=lambda progress: told.append(progress.done))

    assert (ended.done, ended.failed) == (4, {})
    assert told == [1, 2, 3, 4]
    for tenant in old:
        assert describe_schema(tenant.schema_name) == describe_schema(acme.tenant.schema_name)
    assert versions_behind(old) == []


def test_the_rows_of_each_are_changed_as_its_own_migration_would(
    acme: Any, old: list[Tenant], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The first schema has no rows, and the others have some."""
    for number, tenant in enumerate(old[1:]):
        with tenant_schema(tenant.code):
            WebhookEndpoint.objects.create(url=f"https://{number}.test/", events=[])
    real = migrating.migrate_schema

    def with_data(name: str) -> None:
        real(name)
        with tenant_schema(name.removeprefix("t_")), connection.cursor() as cursor:
            cursor.execute("UPDATE webhooks_webhookendpoint SET url = url || %s", ["?100%"])

    monkeypatch.setattr(migrating, "migrate_schema", with_data)
    migrate_all(versions_behind(old))

    for tenant in old[1:]:
        with tenant_schema(tenant.code):
            assert WebhookEndpoint.objects.get().url.endswith(".test/?100%")


def test_whatever_stops_it_a_repeat_goes_on_with_the_rest(old: list[Tenant]) -> None:
    def stop(progress: migrating.Progress) -> None:
        if progress.done == 2:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        migrate_all(versions_behind(old), jobs=1, tell=stop)
    assert are_new(*old)[:2] == [True, True]

    migrate_all(versions_behind(old))
    assert are_new(*old) == [True] * 4


def test_one_that_fails_stays_as_it_was_and_the_others_go_on(old: list[Tenant]) -> None:
    broken = old[3]
    with connection.cursor() as cursor:
        cursor.execute(f'DROP TABLE "{broken.schema_name}".usage_usagerecord CASCADE')
    before = describe_schema(broken.schema_name)

    out = StringIO()
    with pytest.raises(CommandError, match=broken.slug):
        call_command("migrate_tenants", *(tenant.slug for tenant in old), stdout=out)

    assert are_new(*old) == [True, True, True, False]
    assert describe_schema(broken.schema_name) == before
    assert "3 schemas migrated" in out.getvalue()


def test_a_schema_that_somebody_uses_is_waited_for(old: list[Tenant]) -> None:
    busy = old[2].schema_name
    with psycopg.connect(**migrating._plain(connection.get_connection_params())) as other:
        other.execute(f'LOCK TABLE "{busy}".usage_usagerecord IN ACCESS SHARE MODE')

        def let_go(progress: migrating.Progress) -> None:
            if progress.done == 3 and not other.closed:
                other.rollback()

        ended = migrate_all(versions_behind(old), jobs=2, tell=let_go)
    assert ended.failed == {}


def test_a_replay_that_makes_another_schema_stops_before_the_third(
    old: list[Tenant], monkeypatch: pytest.MonkeyPatch
) -> None:
    real = migrating.take_sql
    monkeypatch.setattr(
        migrating,
        "take_sql",
        lambda work, **options: real(work, **options) + "\nCREATE TABLE surplus (id int);",
    )
    with pytest.raises(SchemaVersionError, match="different schema"):
        migrate_all(versions_behind(old))
    assert are_new(*old) == [True, False, False, False]


def test_what_cannot_be_replayed_is_migrated_one_by_one(
    old: list[Tenant], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(migrating, "can_be_replayed", lambda missing: False)
    monkeypatch.setattr(migrating, "take_sql", None)
    assert migrate_all(versions_behind(old)).done == 4


def test_the_command_tells_its_plan_and_changes_nothing(old: list[Tenant]) -> None:
    out = StringIO()
    slugs = [tenant.slug for tenant in old]
    call_command("migrate_tenants", *slugs, "--plan", "--sql", stdout=out)
    assert "4 schemas lack usage.0005" in out.getvalue()
    assert "CREATE TABLE" in out.getvalue()
    assert are_new(*old) == [False] * 4

    call_command("migrate_tenants", *slugs, stdout=out)
    call_command("migrate_tenants", *slugs, stdout=out)
    assert out.getvalue().endswith("All schemas are at this version.\n")


def test_the_command_knows_what_is_no_tenant() -> None:
    with pytest.raises(CommandError, match="nobody"):
        call_command("migrate_tenants", "nobody")
