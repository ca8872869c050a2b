from django.db.models import Q
from django.utils import timezone

from tenants.announcements.models import Announcement
from tenants.registry.models import Tenant
from tenants.users.models import User


def announcements_for(tenant: Tenant, user: User) -> list[Announcement]:
    """What its people are told now, warnings first."""
    now = timezone.now()
    rows = Announcement.objects.filter(
        Q(ends_at=None) | Q(ends_at__gt=now),
        Q(tenant=None) | Q(tenant=tenant),
        Q(plan=None) | Q(plan=tenant.plan) | (Q(plan__is_default=True) & _on_default(tenant)),
        starts_at__lte=now,
    ).exclude(hidden_by=user)
    return sorted(rows, key=lambda row: row.level != Announcement.Level.WARNING)


def _on_default(tenant: Tenant) -> Q:
    return Q() if tenant.plan_id is None else Q(pk__in=[])
