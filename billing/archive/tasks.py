"""The daily run. A deployment with very much usage runs `manage.py archive_usage` instead."""

import logging
from datetime import UTC, datetime, timedelta

from celery import shared_task
from django.conf import settings

from billing.archive.files import ArchiveError
from billing.archive.services import archive_usage
from tenants.registry.models import Tenant
from tenants.registry.selectors import tenant_by_code

logger = logging.getLogger(__name__)
_LIMIT_S = 6 * 3600


def kept_since() -> datetime | None:
    """The first day of the oldest month that is kept; None: everything is."""
    if not settings.USAGE_RETENTION_DAYS:
        return None
    oldest = datetime.now(UTC) - timedelta(days=settings.USAGE_RETENTION_DAYS)
    return oldest.replace(day=1, hour=0, minute=0, second=0, microsecond=0)


@shared_task
def archive_usage_task() -> int:
    """Start archiving for every tenant, where a retention is set. Returns how many."""
    if kept_since() is None:
        return 0
    codes = list(Tenant.objects.values_list("code", flat=True))
    for code in codes:
        archive_tenant_task.delay(code)
    return len(codes)


# Acknowledged at its start: a month of millions takes longer than a task that was taken may, and
# the next day goes on where a killed one stopped.
@shared_task(acks_late=False, time_limit=_LIMIT_S)
def archive_tenant_task(tenant_code: str) -> int:
    """Move a tenant's old usage records into files. Safe to run twice. Returns how many."""
    before = kept_since()
    if before is None:
        return 0
    try:
        moved = archive_usage(tenant=tenant_by_code(tenant_code), before=before)
    except ArchiveError:
        logger.exception("%s: usage is not archived", tenant_code)
        return 0
    return sum(archived.records for archived in moved)
