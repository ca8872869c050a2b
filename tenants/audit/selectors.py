"""Reading the audit trail. Everything runs in the tenant's schema."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime

from django.db.models import QuerySet

from tenants.audit.models import AuditEvent

_BATCH = 1000


@dataclass(frozen=True, slots=True)
class TrailFilter:
    """Empty: any. since, until: moments, the second not included."""

    actor: str = ""
    action: str = ""
    since: datetime | None = None
    until: datetime | None = None

    def rows(self) -> QuerySet[AuditEvent]:
        """Newest first."""
        rows = AuditEvent.objects.order_by("-id")
        if self.actor:
            rows = rows.filter(actor=self.actor)
        if self.action:
            rows = rows.filter(action=self.action)
        if self.since:
            rows = rows.filter(created_at__gte=self.since)
        if self.until:
            rows = rows.filter(created_at__lt=self.until)
        return rows


def page_of_trail(wanted: TrailFilter, *, before: int | None, limit: int) -> list[AuditEvent]:
    """before: the id of the last event of the page before."""
    rows = wanted.rows()
    return list((rows.filter(pk__lt=before) if before else rows)[:limit])


def whole_trail(wanted: TrailFilter) -> Iterator[list[AuditEvent]]:
    """All of it, in batches."""
    before = None
    while batch := page_of_trail(wanted, before=before, limit=_BATCH):
        yield batch
        before = batch[-1].pk


def known_actors() -> list[str]:
    return list(AuditEvent.objects.order_by("actor").values_list("actor", flat=True).distinct())


def known_actions() -> list[str]:
    return list(AuditEvent.objects.order_by("action").values_list("action", flat=True).distinct())
