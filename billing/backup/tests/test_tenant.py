"""One tenant exported, and restored alone, where it was."""

import json
import tarfile
from io import StringIO
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from allauth.account.models import EmailAddress
from allauth.mfa.models import Authenticator
from django.apps import apps
from django.conf import settings as django_settings
from django.core.management import call_command
from django.core.management.base import CommandError
from django.db import connection

from agentflare.partitions import partition_of
from billing import invariants
from billing.admission.gate import Gate
from billing.admission.services import admit, books, capture
from billing.admission.tests.builders import event
from billing.backup import tenant_restore
from billing.backup.decisions import DECISIONS
from billing.backup.errors import BackupError
from billing.backup.tenant_export import export_tenant
from billing.backup.tenant_restore import RestoredTenant, restore_tenant
from billing.business.models import LedgerMonth, TenantState
from billing.ledger.services import credit_account, grant_credit
from billing.settlement.services import settle_partition
from billing.stripe.models import BalanceWatch, StripeObject
from billing.usage.models import UsageRecord
from tenants.audit.models import AuditEvent
from tenants.keys.lookup import find_key, forget_all
from tenants.keys.models import ApiKey
from tenants.keys.services import create_api_key, revoke_api_key
from tenants.operators.models import OperatorAction
from tenants.registry.models import Domain, Tenant
from tenants.registry.schemas import tenant_schema
from tenants.registry.services import create_tenant, suspend_tenant
from tenants.users.models import Membership, Role, User
from tenants.users.services import add_member
from tenants.workspaces.models import PastSlug, Preferences

USD = 1_000_000_000


@pytest.fixture(autouse=True)
def _folders(tmp_path: Path, settings: Any) -> None:
    settings.ARCHIVE_DIR, settings.SPOOL_DIR = str(tmp_path / "archive"), str(tmp_path / "spool")


def call(cast: Any, cost_nusd: int) -> str:
    hold = admit(event=event(cast, cost_nusd))
    capture(hold, hold.event.with_(cost_nusd=cost_nusd, status="completed"))
    return str(hold.request_id)


def settle(cast: Any) -> None:
    settle_partition(partition=partition_of(cast.code))


def export(cast: Any, folder: Path) -> Path:
    file = folder / f"{uuid4().hex}.tar"
    export_tenant(cast.tenant, file)
    return file


def delete(cast: Any) -> None:
    """By hand, as no page of ours does."""
    with connection.cursor() as cursor:
        cursor.execute(f'DROP SCHEMA "{cast.tenant.schema_name}" CASCADE')
    Tenant.objects.get(pk=cast.tenant.pk).delete()
    for model in (BalanceWatch, StripeObject):
        model.objects.filter(tenant_code=cast.code).delete()


def is_whole(done: RestoredTenant) -> None:
    assert done.violations == []
    assert [*invariants.check_ledger(done.tenant), *invariants.check_gate(done.tenant)] == []


def schemas_of(code: str) -> list[str]:
    with connection.cursor() as cursor:
        cursor.execute("SELECT nspname FROM pg_namespace WHERE nspname LIKE %s", [f"%{code}%"])
        return sorted(name for (name,) in cursor.fetchall())


def test_every_shared_model_is_decided_on() -> None:
    """A new one makes this fail: does a tenant that is exported alone take its rows along?"""
    of_tenants = set(django_settings.TENANT_APPS)
    shared = {
        model._meta.label
        for model in apps.get_models(include_auto_created=True)
        if model._meta.app_config.name not in of_tenants
    }

    assert set(DECISIONS) == shared


def test_a_deleted_tenant_comes_back_with_all_it_had(acme: Any, tmp_path: Path) -> None:
    code, slug = acme.code, acme.tenant.slug
    call(acme, 1_000)
    settle(acme)
    waiting = call(acme, 30)
    _, second = create_api_key(tenant=acme.tenant, name="second", actor="test")
    add_member(tenant=acme.tenant, email="dev@acme.test", role=Role.DEVELOPER, password=None)
    Preferences.objects.create(tenant=acme.tenant, alert_addresses=["money@acme.test"])
    PastSlug.objects.create(tenant=acme.tenant, slug=f"past-{slug}"[:40])
    Domain.objects.create(tenant=acme.tenant, domain=f"{slug}.example.com", is_primary=True)
    StripeObject.objects.create(object_id=f"cus_{code}", tenant_code=code)
    BalanceWatch.objects.create(tenant_code=code, floor_nusd=5)
    file = export(acme, tmp_path)
    assert file.stat().st_mode & 0o777 == 0o600
    delete(acme)
    forget_all()

    done = restore_tenant(file)

    is_whole(done)
    tenant = Tenant.objects.get(slug=slug)
    assert tenant.pk != acme.tenant.pk
    assert tenant.code == code
    assert books(tenant) == Gate(posted=25 * USD - 1_030, held=0, unsettled=0)
    with tenant_schema(code):
        assert UsageRecord.objects.get(pk=waiting).cost_nusd == 30
    assert {row.user.email: row.role for row in tenant.memberships.all()} == {
        acme.owner.email: "owner",
        "dev@acme.test": "developer",
    }
    assert tenant.preferences.alert_addresses == ["money@acme.test"]
    assert tenant.past_slugs.get().slug == f"past-{slug}"[:40]
    assert Domain.objects.get(tenant=tenant).domain == f"{slug}.example.com"
    assert StripeObject.objects.get(pk=f"cus_{code}").tenant_code == code
    assert BalanceWatch.objects.get(pk=code).floor_nusd == 5
    for key in (acme.key, second):
        assert find_key(key).tenant_code == code
    # It goes on: the next rows have numbers of their own, and the operator's sums are there.
    grant_credit(tenant=tenant, amount_nusd=USD, reference="after", actor="test")
    create_api_key(tenant=tenant, name="after", actor="test")
    assert books(tenant).posted == 26 * USD - 1_030
    assert TenantState.objects.get(pk=code).credit_nusd == 25 * USD - 1_030
    assert LedgerMonth.objects.filter(tenant_code=code, kind="grant").exists()


def test_what_is_taken_is_refused(acme: Any, tmp_path: Path) -> None:
    slug, code = acme.tenant.slug, acme.code
    domain = f"{slug}.example.com"
    Domain.objects.create(tenant=acme.tenant, domain=domain, is_primary=True)
    file = export(acme, tmp_path)
    count = Tenant.objects.count()

    with pytest.raises(BackupError, match=f"The tenant is here: {slug} has its code {code}"):
        restore_tenant(file)
    Tenant.objects.filter(pk=acme.tenant.pk).delete()
    with pytest.raises(BackupError, match=f"schema t_{code} without a tenant"):
        restore_tenant(file)
    with connection.cursor() as cursor:
        cursor.execute(f'DROP SCHEMA "t_{code}" CASCADE')
    other = create_tenant(slug=slug, name="Other")
    with pytest.raises(BackupError, match=f"Another tenant has the address {slug}"):
        restore_tenant(file)
    Tenant.objects.filter(pk=other.pk).update(slug=f"o-{slug}"[:40])
    Domain.objects.create(tenant=other, domain=domain, is_primary=True)
    with pytest.raises(BackupError, match=f"Another tenant has the domain {domain}"):
        restore_tenant(file)

    assert Tenant.objects.count() == count
    assert schemas_of(code) == []
    Domain.objects.filter(tenant=other).delete()
    is_whole(restore_tenant(file))


def test_a_damaged_file_changes_nothing(acme: Any, tmp_path: Path) -> None:
    file = export(acme, tmp_path)
    content = bytearray(file.read_bytes())
    with tarfile.open(file) as tar:
        postings = tar.getmember("tables/ledger_posting")
    content[postings.offset_data] ^= 1
    damaged, cut, odd = (tmp_path / name for name in ("damaged", "cut", "odd"))
    damaged.write_bytes(content)
    cut.write_bytes(file.read_bytes()[: postings.offset_data])
    odd.write_bytes(b"no archive")
    delete(acme)

    with pytest.raises(BackupError, match="tables/ledger_posting is not what was written"):
        restore_tenant(damaged)
    for broken in (cut, odd, tmp_path / "nowhere"):
        with pytest.raises(BackupError, match="cannot be read as a tenant's export"):
            restore_tenant(broken)

    assert not Tenant.objects.filter(code=acme.code).exists()
    assert schemas_of(acme.code) == []


def test_what_stops_in_the_middle_leaves_nothing(
    acme: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = export(acme, tmp_path)
    delete(acme)
    people = User.objects.count()

    def stop(**_: Any) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as stopped:
        stopped.setattr(tenant_restore, "record", stop)
        with pytest.raises(KeyboardInterrupt):
            restore_tenant(file)

    assert not Tenant.objects.filter(code=acme.code).exists()
    assert schemas_of(acme.code) == []
    assert User.objects.count() == people
    is_whole(restore_tenant(file))


def test_people_who_are_known_stay_as_they_are_and_others_come_without_rights(
    acme: Any, tmp_path: Path
) -> None:
    known = acme.owner
    staff = User.objects.create_superuser(f"staff@{acme.tenant.slug}.test", "a-long-password-1")
    Membership.objects.create(tenant=acme.tenant, user=staff, role=Role.ADMIN)
    EmailAddress.objects.create(user=staff, email=staff.email, verified=True, primary=True)
    file = export(acme, tmp_path)
    delete(acme)
    known.set_password("another-password-1")
    known.save()
    address = staff.email
    staff.delete()

    done = restore_tenant(file)

    assert User.objects.get(pk=known.pk).check_password("another-password-1")
    back = User.objects.get(email=address)
    assert back.check_password("a-long-password-1")
    assert (back.is_staff, back.is_superuser) == (False, False)
    assert EmailAddress.objects.get(user=back).verified
    assert set(done.tenant.memberships.values_list("user_id", flat=True)) == {known.pk, back.pk}


@pytest.mark.parametrize("is_same", [True, False])
def test_a_second_factor_comes_only_where_it_can_be_read(
    acme: Any, tmp_path: Path, settings: Any, is_same: bool
) -> None:
    Authenticator.objects.create(user=acme.owner, type="totp", data={"secret": "encrypted"})
    file = export(acme, tmp_path)
    delete(acme)
    address = acme.owner.email
    User.objects.filter(email=address).delete()
    if not is_same:
        settings.SECRET_KEY = "another" * 8

    done = restore_tenant(file)

    back = User.objects.get(email=address)
    assert Authenticator.objects.filter(user=back).exists() == is_same
    # Without the second one the first alone must not be enough.
    assert back.has_usable_password() == is_same
    told = " ".join(done.notes)
    assert ("SECRET_KEY is another one" in told) != is_same
    assert (address in told) != is_same


def test_numbers_of_another_installation_are_nobody_elses_here(
    acme: Any, globex: Any, tmp_path: Path
) -> None:
    create_api_key(tenant=acme.tenant, name="of a stranger", actor="test")
    with tenant_schema(acme.code), connection.cursor() as cursor:
        cursor.execute(
            "UPDATE keys_apikey SET member_id = %s WHERE name = 'of a stranger'",
            [globex.owner.pk],
        )
        cursor.execute("UPDATE keys_apikey SET member_id = %s WHERE name = 'test'", [acme.owner.pk])
    file = export(acme, tmp_path)
    delete(acme)
    # As elsewhere: those numbers are of others, or of nobody.
    address = acme.owner.email
    old_number = acme.owner.pk
    User.objects.filter(pk=globex.owner.pk).update(email=f"renamed@{globex.tenant.slug}.test")
    User.objects.filter(email=address).delete()

    restore_tenant(file)

    with tenant_schema(acme.code), connection.cursor() as cursor:
        cursor.execute("SELECT name, member_id FROM keys_apikey ORDER BY name")
        found = dict(cursor.fetchall())
    back = User.objects.get(email=address)
    assert back.pk != old_number
    assert found == {"of a stranger": None, "test": back.pk}


def test_a_schema_is_replaced_and_the_gate_follows_a_ledger_that_went_back(
    acme: Any, tmp_path: Path
) -> None:
    call(acme, 1_000)
    settle(acme)
    row, lost = create_api_key(tenant=acme.tenant, name="lost", actor="test")
    file = export(acme, tmp_path)
    for cost in (5, 6, 7):
        call(acme, cost)
        settle(acme)
    revoke_api_key(tenant=acme.tenant, key_id=row.key_id, actor="test")
    with pytest.raises(BackupError, match="is being served"):
        restore_tenant(file, replaces=True)
    suspend_tenant(tenant=acme.tenant, reason="Back in a moment.", actor="test")

    done = restore_tenant(file, replaces=True)

    is_whole(done)
    assert done.before is not None
    assert done.before.accounts["credit"] == 25 * USD - 1_018
    # Of a lower version than the gate had been told.
    assert done.before.version > done.books.version
    assert books(done.tenant) == Gate(posted=25 * USD - 1_000, held=0, unsettled=0)
    assert schemas_of(acme.code) == sorted([f"t_{acme.code}", done.kept_schema])
    tenant = Tenant.objects.get(pk=acme.tenant.pk)
    assert tenant.suspension_reason == "Back in a moment."
    forget_all()
    assert find_key(acme.key).suspended == "Back in a moment."
    # It was revoked since, and stays so.
    assert find_key(lost).is_revoked
    with tenant_schema(acme.code):
        assert ApiKey.objects.get(key_id=row.key_id).revoked_at is not None
        assert AuditEvent.objects.filter(action="tenant.restored").count() == 1
        assert credit_account().balance_nusd == 25 * USD - 1_000
    trail = OperatorAction.objects.get(action="tenant.restored", tenant_code=acme.code)
    assert trail.detail == {"kept_schema": done.kept_schema}


def test_nothing_is_replaced_while_a_call_runs(acme: Any, tmp_path: Path) -> None:
    file = export(acme, tmp_path)
    hold = admit(event=event(acme, 50))
    suspend_tenant(tenant=acme.tenant, reason="Now.", actor="test")

    with pytest.raises(BackupError, match="still run"):
        restore_tenant(file, replaces=True)

    assert schemas_of(acme.code) == [f"t_{acme.code}"]
    capture(hold, hold.event.with_(cost_nusd=20, status="completed"))
    done = restore_tenant(file, replaces=True)
    is_whole(done)
    # Booked into what is put aside, before it was.
    assert done.before is not None
    assert done.before.accounts["credit"] == 25 * USD - 20


def test_a_damaged_schema_is_replaced(acme: Any, tmp_path: Path) -> None:
    call(acme, 1_000)
    settle(acme)
    file = export(acme, tmp_path)
    suspend_tenant(tenant=acme.tenant, reason="Damaged.", actor="test")
    with tenant_schema(acme.code), connection.cursor() as cursor:
        cursor.execute("DROP TABLE usage_usagerecord CASCADE")

    done = restore_tenant(file, replaces=True)

    is_whole(done)
    assert done.before is None
    assert "The schema that was there is damaged." in done.notes
    assert books(done.tenant).posted == 25 * USD - 1_000


def test_the_commands_say_what_they_did(acme: Any, tmp_path: Path) -> None:
    file, said = tmp_path / "acme.tar", StringIO()
    slug = acme.tenant.slug

    call_command("export_tenant", slug, file, stdout=said)
    assert f"Exported {slug} with 25" in said.getvalue()
    assert "It is being served" in said.getvalue()
    with pytest.raises(CommandError, match="there already"):
        call_command("export_tenant", slug, file)
    with pytest.raises(CommandError, match="no tenant"):
        call_command("export_tenant", "nobody", tmp_path / "nobody.tar")
    with tarfile.open(file) as tar:
        manifest = json.loads(tar.extractfile("manifest.json").read())  # type: ignore[union-attr]
    assert manifest["kind"] == "tenant"
    delete(acme)
    call_command("restore_tenant", file, stdout=said)
    assert f"Restored {slug} with 25" in said.getvalue()
    assert "Clean: no rule is broken." in said.getvalue()
    with pytest.raises(CommandError, match="The tenant is here"):
        call_command("restore_tenant", file)
