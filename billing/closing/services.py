"""Deleting what a closed workspace has, but for what the books must keep.

Kept: the ledger and the payments, because they are the operator's accounts too. Everything else of
the tenant's schema is emptied, whatever app it belongs to, and its files are deleted.
"""

import logging
import shutil
from contextlib import suppress
from datetime import datetime
from pathlib import Path

from django.conf import settings
from django.db import connection, transaction
from django.utils import timezone
from django_tenants.utils import schema_context

from agentflare.redis_store import RedisDownError
from billing.exports.models import Export
from billing.usage.refusals import forget_refusals
from tenants.members.mails import owners_of, tell
from tenants.members.models import Invitation
from tenants.registry import status
from tenants.registry.models import Domain, Tenant
from tenants.registry.schemas import tenant_schema
from tenants.users.models import Membership
from tenants.workspaces.models import GRACE, Closure, PastSlug, Preferences, WakeUp

logger = logging.getLogger(__name__)
# Beginnings of names of tables.
_KEPT = ("django_", "ledger_", "payments_")


def due_for_deletion(now: datetime | None = None) -> list[str]:
    """Codes of tenants whose time to be opened again is over."""
    before = (now or timezone.now()) - GRACE
    closures = Closure.objects.filter(deleted_at=None, closed_at__lte=before)
    return list(closures.values_list("tenant__code", flat=True))


def delete_data(tenant: Tenant) -> bool:
    """False: it is not due, or done. A repeat finishes what another run has begun."""
    with schema_context("public"), transaction.atomic():
        row = Tenant.objects.select_for_update().get(pk=tenant.pk)
        closure = Closure.objects.filter(
            tenant=row, deleted_at=None, closed_at__lte=timezone.now() - GRACE
        ).first()
        if closure is None:
            return False
        owners, name = owners_of(row), row.name
        _empty_schema(row)
        Membership.objects.filter(tenant=row).delete()
        Invitation.objects.filter(tenant=row).delete()
        Preferences.objects.filter(tenant=row).delete()
        PastSlug.objects.filter(tenant=row).delete()
        Domain.objects.filter(tenant=row).delete()
        WakeUp.objects.filter(tenant_code=row.code).delete()
        # One that is still being made finds its row gone, and takes its file with it.
        Export.objects.filter(tenant=row).delete()
        closure.deleted_at, closure.closed_by = timezone.now(), "an owner"
        closure.save()
        # Its address is free for others again.
        row.slug, row.name = f"deleted-{row.code}", "Deleted workspace"
        row.status_version += 1
        row.save(update_fields=["slug", "name", "status_version"])
    # Files last: whoever is killed here leaves them to nobody who could find them.
    for folder in (settings.ARCHIVE_DIR, settings.EXPORT_DIR):
        shutil.rmtree(Path(folder) / tenant.code, ignore_errors=True)
    tenant.refresh_from_db()
    with suppress(*RedisDownError):
        forget_refusals(tenant.code)
    status.publish(tenant)
    tell(
        tenant,
        owners,
        "the data is deleted",
        f"The workspace {name} was closed 30 days ago. Its keys, usage, settings and members are "
        "deleted now. What was paid stays in the books.\n",
    )
    logger.info("The data of tenant %s is deleted", tenant.code)
    return True


def _empty_schema(tenant: Tenant) -> None:
    with tenant_schema(tenant.code), connection.cursor() as cursor:
        cursor.execute(
            "SELECT tablename FROM pg_tables WHERE schemaname = %s ORDER BY 1",
            [tenant.schema_name],
        )
        tables = [name for (name,) in cursor.fetchall() if not name.startswith(_KEPT)]
        names = ", ".join(f'"{tenant.schema_name}"."{name}"' for name in tables)
        cursor.execute(f"TRUNCATE {names}")
