"""The daily run. A deployment with very much usage runs `manage.py archive_usage` instead."""

import logging
from datetime import UTC, datetime, timedelta

from celery import shared_task
from django.conf import settings

from billing.archive.files import ArchiveError
from billing.archive.services import archive_usage
from tenants.registry.models import Tenant
from tenants.registry.selectors import tenant_by_code
from tenants.workspaces.alerts import preferences_of

logger = logging.getLogger(__name__)
_LIMIT_S = 6 * 3600


def kept_since(chosen_months: int | None = None) -> datetime | None:
    """The first day of the oldest month that is kept; None: everything is.

    chosen_months: whole months that the tenant wants to keep, where that is less than the operator
        does; None: as many.
    """
    now = datetime.now(UTC)
    starts = []
    if settings.USAGE_RETENTION_DAYS:
        starts.append(_month(now - timedelta(days=settings.USAGE_RETENTION_DAYS)))
    if chosen_months is not None:
        number = now.year * 12 + now.month - 1 - chosen_months
        starts.append(_month(now).replace(year=number // 12, month=number % 12 + 1))
    return max(starts, default=None)


def _month(moment: datetime) -> datetime:
    return moment.replace(day=1, hour=0, minute=0, second=0, microsecond=0)


def _kept_since_by(tenant: Tenant) -> datetime | None:
    return kept_since(preferences_of(tenant).retention_months)


@shared_task
def archive_usage_task() -> int:
    """Start archiving for every tenant that has a retention, or all do. Returns how many."""
    tenants = Tenant.objects.all()
    if kept_since() is None:
        tenants = tenants.filter(preferences__retention_months__isnull=False)
    codes = list(tenants.values_list("code", flat=True))
    for code in codes:
        archive_tenant_task.delay(code)
    return len(codes)


# Acknowledged at its start: a month of millions takes longer than a task that was taken may, and
# the next day goes on where a killed one stopped.
@shared_task(acks_late=False, time_limit=_LIMIT_S)
def archive_tenant_task(tenant_code: str) -> int:
    """Move a tenant's old usage records into files. Safe to run twice. Returns how many."""
    tenant = tenant_by_code(tenant_code)
    before = _kept_since_by(tenant)
    if before is None:
        return 0
    try:
        moved = archive_usage(tenant=tenant, before=before)
    except ArchiveError:
        logger.exception("%s: usage is not archived", tenant_code)
        return 0
    return sum(archived.records for archived in moved)
