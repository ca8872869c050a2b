"""Responses that no conversation was named for are not kept for ever."""

from datetime import UTC, datetime, timedelta

from django.conf import settings

from agents.conversations.models import Conversation
from tenants.registry.models import Tenant
from tenants.registry.schemas import tenant_schema

_BATCH = 500


def delete_old_responses(*, keep_days: int | None = None) -> int:
    """Hidden conversations in which nothing has happened for so long, with their responses, of all
    tenants. Returns how many conversations there were; a repeat finds none."""
    days = settings.RESPONSE_KEEP_DAYS if keep_days is None else keep_days
    before = datetime.now(UTC) - timedelta(days=days)
    return sum(_delete_of(tenant, before) for tenant in Tenant.objects.all())


def _delete_of(tenant: Tenant, before: datetime) -> int:
    deleted = 0
    with tenant_schema(tenant.code):
        old = Conversation.objects.filter(
            is_hidden=True, active_turn=None, created_at__lt=before
        ).exclude(turns__created_at__gte=before)
        while ids := list(old.values_list("pk", flat=True)[:_BATCH]):
            Conversation.objects.filter(pk__in=ids).delete()
            deleted += len(ids)
    return deleted
