from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from django.db import connection, transaction
from django_tenants.utils import schema_exists

from tenants.audit.models import AuditEvent
from tenants.keys.models import ApiKey
from tenants.registry import schemas
from tenants.registry.models import SchemaTemplate, Tenant
from tenants.registry.schemas import describe_schema, tenant_schema, tenants_behind
from tenants.registry.services import TenantExistsError, create_tenant
from tenants.users.models import Membership


def test_a_schema_from_the_template_equals_one_from_the_migrations(
    acme: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(schemas, "migrations_fingerprint", lambda: "no such template")
    migrated = create_tenant(slug=f"m-{acme.code}", name="By migrations")

    template = describe_schema(acme.tenant.schema_name)
    assert "ledger_journalentry" in template
    assert describe_schema(migrated.schema_name) == template


def test_a_new_tenant_is_at_the_codes_version(acme: Any) -> None:
    assert acme.tenant.pk not in {tenant.pk for tenant in tenants_behind()}

    with transaction.atomic():
        with connection.cursor() as cursor:
            cursor.execute(
                f"DELETE FROM {acme.tenant.schema_name}.django_migrations WHERE app = 'keys'"
            )
        assert acme.tenant.pk in {tenant.pk for tenant in tenants_behind()}
        transaction.set_rollback(True)


def test_the_template_is_made_once_for_the_same_migrations() -> None:
    before = SchemaTemplate.objects.count()

    schemas.build_template()

    assert SchemaTemplate.objects.count() == before


def test_what_old_rows_need_is_not_replayed(acme: Any) -> None:
    def work() -> None:
        with connection.cursor() as cursor:
            cursor.execute("UPDATE keys_apikey SET name = 'x' WHERE false")
            cursor.execute("UPDATE keys_apikey SET name = %s", ["made"])

    with tenant_schema(acme.code):
        assert schemas.take_sql(work) == "UPDATE keys_apikey SET name = 'made';"


def test_a_template_marks_all_migrations_as_applied_at_once() -> None:
    template = SchemaTemplate.objects.get(fingerprint=schemas.migrations_fingerprint())

    assert template.sql.count('INSERT INTO "django_migrations"') == 1


def test_a_template_that_makes_another_schema_is_not_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(schemas, "migrations_fingerprint", lambda: "new release")
    real = schemas.take_sql
    monkeypatch.setattr(
        schemas, "take_sql", lambda work: real(work) + "\nCREATE TABLE surplus (id int);"
    )

    with pytest.raises(schemas.SchemaVersionError):
        schemas.build_template()

    assert not SchemaTemplate.objects.filter(fingerprint="new release").exists()
    with connection.cursor() as cursor:
        cursor.execute("SELECT count(*) FROM pg_namespace WHERE nspname LIKE 'build_%'")
        assert cursor.fetchone() == (0,)


def test_a_taken_slug_is_refused_and_makes_nothing(acme: Any) -> None:
    with pytest.raises(TenantExistsError):
        create_tenant(slug=acme.tenant.slug, name="Again")

    assert Tenant.objects.filter(slug=acme.tenant.slug).count() == 1


def test_a_failure_leaves_neither_row_nor_schema(
    acme: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    names: list[str] = []

    def fail(name: str) -> None:
        names.append(name)
        schemas.create_schema(name)
        raise RuntimeError("the disk is full")

    monkeypatch.setattr("tenants.registry.services.create_schema", fail)
    with pytest.raises(RuntimeError):
        create_tenant(slug=f"f-{acme.code}", name="Fails", owner_email="x@f.test")

    assert not schema_exists(names[0])
    assert not Tenant.objects.filter(slug=f"f-{acme.code}").exists()
    assert not Membership.objects.filter(user__email="x@f.test").exists()


@pytest.mark.parametrize("slug", ["", "-a", "a-", "Über", "a b", "a/b", "x" * 41, "A"])
def test_what_is_no_slug_is_refused(slug: str) -> None:
    with pytest.raises(ValueError, match="slug"):
        create_tenant(slug=slug, name="Odd")


def test_tenants_made_at_once_do_not_disturb_each_other(acme: Any) -> None:
    def make(number: int) -> str:
        try:
            return create_tenant(slug=f"c{number}-{acme.code}", name="Many").schema_name
        finally:
            connection.close()

    with ThreadPoolExecutor(6) as pool:
        names = list(pool.map(make, range(12)))

    assert all(schema_exists(name) for name in names)


def test_each_tenant_sees_its_own_rows_alone(acme: Any, globex: Any) -> None:
    with tenant_schema(acme.code):
        AuditEvent.objects.create(actor="x", action="acme.only")
    with tenant_schema(globex.code):
        assert not AuditEvent.objects.filter(action="acme.only").exists()
        assert ApiKey.objects.count() == 1


def test_a_pooled_connection_never_carries_another_tenants_path(acme: Any, globex: Any) -> None:
    """Threads take turns on few connections, close them in any state, and must read their own."""

    def read(number: int) -> bool:
        cast = (acme, globex)[number % 2]
        try:
            with tenant_schema(cast.code):
                if number % 3 == 0:
                    roll_back_with_the_path_in_it()
                if number % 5 == 0:
                    connection.close()
                (key,) = ApiKey.objects.all()
                return cast.key.startswith(key.prefix)
        finally:
            connection.close()

    with ThreadPoolExecutor(16) as pool:
        assert all(pool.map(read, range(400)))


def roll_back_with_the_path_in_it() -> None:
    with transaction.atomic():
        ApiKey.objects.count()
        transaction.set_rollback(True)
