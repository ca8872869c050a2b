"""A tenant's life: made, suspended, resumed."""

import re

from django.db import transaction
from django.utils import timezone
from django_tenants.utils import schema_context

from agentflare.ids import BASE36, random_code
from tenants.audit import services as audit
from tenants.registry import status
from tenants.registry.models import Tenant
from tenants.registry.schemas import create_schema, schema_name
from tenants.users.models import Role
from tenants.users.services import add_member

SLUG = re.compile(r"[a-z0-9](?:[a-z0-9-]{0,38}[a-z0-9])?")


class TenantExistsError(Exception):
    """The slug is taken."""


def create_tenant(
    *, slug: str, name: str, owner_email: str | None = None, owner_password: str | None = None
) -> Tenant:
    """Make a tenant with its schema and, where an address is given, its owner.

    All of it or nothing. Raises ValueError for a slug that is no address, and
    TenantExistsError when it is taken.
    """
    if not SLUG.fullmatch(slug):
        raise ValueError(
            f"{slug!r} is not a slug: small letters, digits and hyphens between them, up to 40"
        )
    with schema_context("public"), transaction.atomic():
        if Tenant.objects.filter(slug=slug).exists():
            raise TenantExistsError(f"there is already a tenant {slug}")
        code = random_code(6, BASE36)
        tenant = Tenant(slug=slug, name=name, code=code, schema_name=schema_name(code))
        tenant.save()
        create_schema(tenant.schema_name)
        if owner_email:
            add_member(tenant=tenant, email=owner_email, role=Role.OWNER, password=owner_password)
        transaction.on_commit(lambda: status.publish(tenant))
    return tenant


def suspend_tenant(*, tenant: Tenant, reason: str, actor: str) -> None:
    """Refuse all calls of this tenant, in every process, from now on.

    reason: the tenant reads it. A repeat replaces the reason. When Redis is down the
    suspension stands in PostgreSQL, takes effect within the cache's time, and the call
    raises: repeat it.
    """
    _change_status(tenant, suspended=True, reason=reason, actor=actor)


def resume_tenant(*, tenant: Tenant, actor: str) -> None:
    """Serve this tenant again."""
    _change_status(tenant, suspended=False, reason="", actor=actor)


def _change_status(tenant: Tenant, *, suspended: bool, reason: str, actor: str) -> None:
    with schema_context("public"), transaction.atomic():
        row = Tenant.objects.select_for_update().get(pk=tenant.pk)
        row.suspended_at = timezone.now() if suspended else None
        row.suspension_reason = reason
        row.status_version += 1
        row.save(update_fields=["suspended_at", "suspension_reason", "status_version"])
        with schema_context(row.schema_name):
            action = "tenant.suspended" if suspended else "tenant.resumed"
            audit.record(actor=actor, action=action, subject=row.slug, reason=reason)
    tenant.refresh_from_db()
    status.publish(tenant)
