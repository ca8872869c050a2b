"""A workspace is closed, opened again, or deleted when its time is over."""

import time
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from django.core import mail
from django.db import connection
from django.utils import timezone

from agentflare.errors import InvalidApiKeyError, TenantSuspendedError
from billing.closing.services import delete_data, due_for_deletion
from billing.dashboard.tests.builders import USD, as_member, call, settle, signed_in, text
from billing.exports import services
from billing.exports.models import Export
from billing.invariants import check_ledger
from billing.ledger.services import credit_account
from billing.usage.refusals import Refusal, latest_refusals, note_refusal
from tenants.audit.models import AuditEvent
from tenants.keys.lookup import forget_all, resolve_key
from tenants.keys.models import ApiKey
from tenants.registry.models import Tenant
from tenants.registry.schemas import tenant_schema, tenants_behind
from tenants.registry.services import create_tenant
from tenants.users.models import Membership, Role, User
from tenants.workspaces.models import GRACE, Closure


def url(cast: Any, path: str = "") -> str:
    return f"/t/{cast.tenant.slug}/settings/close/{path}"


def close(cast: Any, **fields: str) -> Any:
    data = {"slug": cast.tenant.slug, "password": cast.password, "credit": "on", **fields}
    return signed_in(cast.owner).post(url(cast), data)


def its_time_is_over(cast: Any) -> None:
    Closure.objects.filter(tenant=cast.tenant).update(closed_at=timezone.now() - GRACE)


def test_the_page_says_what_happens_to_the_credit(acme: Any) -> None:
    page = text(signed_in(acme.owner).get(url(acme)))

    assert "$25.00 of credit is left" in page
    assert "30 days" in page


def test_closed_all_calls_are_refused_at_once(acme: Any) -> None:
    resolve_key(acme.key)
    forget_all()

    assert close(acme).status_code == 302

    with pytest.raises(TenantSuspendedError, match="closed"):
        resolve_key(acme.key)
    assert [each.to for each in mail.outbox] == [[acme.owner.email]]
    with tenant_schema(acme.code):
        assert AuditEvent.objects.first().action == "workspace.closed"  # type: ignore[union-attr]


def test_it_is_opened_again(acme: Any) -> None:
    close(acme)
    client = signed_in(acme.owner)
    assert "Open it again" in text(client.get(url(acme)))

    client.post(url(acme, "reopen/"))
    forget_all()

    assert resolve_key(acme.key).tenant_code == acme.code
    assert "This workspace is closed" not in text(client.get(url(acme)))


@pytest.mark.parametrize(
    ("fields", "why"),
    [
        ({"password": "wrong-horse-1"}, "not your password"),
        ({"slug": "another"}, "Type acme-"),
        ({"credit": ""}, "Tick this"),
    ],
)
def test_it_takes_address_password_and_a_tick(acme: Any, fields: dict[str, str], why: str) -> None:
    answer = close(acme, **fields)

    assert answer.status_code == 422
    assert why in text(answer)
    assert not Closure.objects.filter(tenant=acme.tenant).exists()


@pytest.mark.parametrize("role", [Role.ADMIN, Role.DEVELOPER, Role.BILLING, Role.VIEWER])
def test_only_owners_close_and_open(acme: Any, role: Role) -> None:
    client = as_member(acme, role)

    assert client.get(url(acme)).status_code == 403
    assert client.post(url(acme), {"slug": acme.tenant.slug}).status_code == 403
    assert client.post(url(acme, "reopen/")).status_code == 403


def test_another_workspace_is_not_reached(acme: Any, globex: Any) -> None:
    stranger = signed_in(globex.owner)

    assert stranger.get(url(acme)).status_code == 404
    assert stranger.post(url(acme), {"slug": acme.tenant.slug}).status_code == 404
    assert stranger.post(url(acme, "reopen/")).status_code == 404


def test_nothing_is_deleted_before_its_time(acme: Any) -> None:
    close(acme)
    Closure.objects.filter(tenant=acme.tenant).update(
        closed_at=timezone.now() - GRACE + timedelta(hours=1)
    )

    assert acme.code not in due_for_deletion()
    assert not delete_data(acme.tenant)
    forget_all()
    with tenant_schema(acme.code):
        assert ApiKey.objects.exists()


def test_what_is_open_again_is_not_deleted(acme: Any) -> None:
    close(acme)
    its_time_is_over(acme)
    signed_in(acme.owner).post(url(acme, "reopen/"))

    assert not delete_data(acme.tenant)
    assert Membership.objects.filter(tenant=acme.tenant).exists()


def test_then_all_goes_but_the_ledger(
    acme: Any, globex: Any, settings: Any, tmp_path: Path
) -> None:
    settings.EXPORT_DIR = str(tmp_path)
    (tmp_path / acme.code).mkdir()
    (tmp_path / acme.code / "export-1.zip").write_bytes(b"x")
    for cast in (acme, globex):
        call(cast, 1_000_000)
        settle(cast)
    slug = acme.tenant.slug
    close(acme)
    its_time_is_over(acme)

    assert acme.code in due_for_deletion()
    assert delete_data(acme.tenant)
    assert not delete_data(acme.tenant)

    with tenant_schema(acme.code), connection.cursor() as cursor:
        assert credit_account().balance_nusd == 25 * USD - 1_000_000
        cursor.execute(
            "SELECT tablename FROM pg_tables WHERE schemaname = %s", [acme.tenant.schema_name]
        )
        for (table,) in cursor.fetchall():
            cursor.execute(f'SELECT count(*) FROM "{table}"')
            is_kept = table.startswith(("ledger_", "django_"))
            assert bool(cursor.fetchone()[0]) == is_kept, table
    assert list(check_ledger(acme.tenant)) == []
    assert not (tmp_path / acme.code).exists()
    assert User.objects.filter(pk=acme.owner.pk).exists()
    assert signed_in(acme.owner).get(f"/t/{slug}/").status_code == 404
    assert mail.outbox[-1].to == [acme.owner.email]
    # Nobody else's is touched.
    with tenant_schema(globex.code):
        assert ApiKey.objects.exists()
    assert list(check_ledger(globex.tenant)) == []


def test_nothing_of_it_is_left_beside_its_schema(acme: Any, settings: Any, tmp_path: Path) -> None:
    settings.EXPORT_DIR = str(tmp_path)
    note_refusal(acme.code, Refusal("a" * 32, "key", "chat", "m", 429, "code", "told", time.time()))
    export = Export.objects.create(tenant=acme.tenant, requested_by=acme.owner.email)
    parts = services.parts_of
    close(acme)
    its_time_is_over(acme)

    def while_it_is_made(tenant: Tenant) -> list[services.Part]:
        assert delete_data(tenant)
        return parts(tenant)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(services, "parts_of", while_it_is_made)
        assert not services.make_export(export.pk)

    assert not Export.objects.filter(tenant=acme.tenant).exists()
    assert not list(tmp_path.rglob("*.zip"))
    assert latest_refusals(acme.code) == []


def test_keys_of_a_deleted_workspace_are_refused(acme: Any) -> None:
    resolve_key(acme.key)
    close(acme)
    its_time_is_over(acme)
    delete_data(acme.tenant)
    forget_all()

    with pytest.raises((InvalidApiKeyError, TenantSuspendedError)):
        resolve_key(acme.key)


def test_its_address_is_free_and_its_schema_still_upgraded(acme: Any) -> None:
    slug = acme.tenant.slug
    close(acme)
    its_time_is_over(acme)
    delete_data(acme.tenant)

    assert create_tenant(slug=slug, name="New").slug == slug
    assert Tenant.objects.get(pk=acme.tenant.pk).slug == f"deleted-{acme.code}"
    assert acme.tenant not in tenants_behind()
