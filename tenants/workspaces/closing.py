"""A workspace is closed by its owner, and can be opened again for a while.

What it has is deleted after that: billing/closing.
"""

from django.db import transaction
from django.db.models import F
from django_tenants.utils import schema_context

from tenants.audit import services as audit
from tenants.audit.services import Actor
from tenants.members.mails import owners_of, page_of, tell
from tenants.registry import status
from tenants.registry.models import Tenant
from tenants.registry.schemas import tenant_schema
from tenants.workspaces.models import Closure


def close_workspace(
    *, tenant: Tenant, actor: Actor, reason: str = "", action: str = "workspace.closed"
) -> Closure:
    """Refuse all calls from now on. A repeat changes nothing.

    reason: why an operator does; its people read it.

    When Redis is down it stands in PostgreSQL, takes effect within a minute, and this raises.
    """
    with schema_context("public"), transaction.atomic():
        row = Tenant.objects.select_for_update().get(pk=tenant.pk)
        closure, is_new = Closure.objects.get_or_create(
            tenant=row, defaults={"closed_by": actor.name, "reason": reason}
        )
        if is_new:
            _note(row, actor, action, reason)
    if is_new:
        because = f": {reason.rstrip('.')}" if reason else ""
        tell(
            tenant,
            owners_of(tenant),
            "the workspace is closed",
            f"{actor.name} has closed the workspace {tenant.name}{because}. Its calls are refused. "
            f"Until {closure.delete_after:%Y-%m-%d} an owner can open it again; then its keys, "
            f"usage and settings are deleted.\n\n{page_of(tenant, 'settings_close')}\n",
        )
    _publish(tenant)
    return closure


def reopen_workspace(
    *, tenant: Tenant, actor: Actor, reason: str = "", action: str = "workspace.reopened"
) -> bool:
    """False: it was open, or its data is deleted already. Raises as `close_workspace`."""
    with schema_context("public"), transaction.atomic():
        row = Tenant.objects.select_for_update().get(pk=tenant.pk)
        deleted, _ = Closure.objects.filter(tenant=row, deleted_at=None).delete()
        if deleted:
            _note(row, actor, action, reason)
    _publish(tenant)
    return bool(deleted)


def _note(tenant: Tenant, actor: Actor, action: str, reason: str) -> None:
    Tenant.objects.filter(pk=tenant.pk).update(status_version=F("status_version") + 1)
    with tenant_schema(tenant.code):
        audit.record(actor=actor, action=action, subject=tenant.slug, reason=reason)


def _publish(tenant: Tenant) -> None:
    status.publish(Tenant.objects.get(pk=tenant.pk))
