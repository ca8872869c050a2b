"""Whom a workspace wants to be told what should be known soon."""

import logging
from contextlib import suppress

from agentflare import throttle
from agentflare.redis_store import RedisDownError
from tenants.members.mails import page_of, tell
from tenants.registry.models import Tenant
from tenants.users.models import User
from tenants.workspaces.models import Preferences

logger = logging.getLogger(__name__)
MOST_OUTSIDE = 100


def preferences_of(tenant: Tenant) -> Preferences:
    """As chosen, or the defaults; unsaved then."""
    return Preferences.objects.filter(tenant=tenant).first() or Preferences(tenant=tenant)


def alert_addresses(tenant: Tenant) -> list[str]:
    """People with one of the chosen roles, and further addresses. Call it in any schema."""
    chosen = preferences_of(tenant)
    people = User.objects.filter(
        memberships__tenant=tenant,
        memberships__role__in=chosen.alert_roles,
        is_active=True,
    )
    return sorted({*people.values_list("email", flat=True), *chosen.alert_addresses})


def told_now(tenant: Tenant, mails: int = 1) -> list[str]:
    """Whom to send so many mails; count them.

    The further addresses are nobody's word that they want to be told: in a day a workspace sends
    them MOST_OUTSIDE mails, and not one more.
    """
    everybody = alert_addresses(tenant)
    members = set(User.objects.filter(memberships__tenant=tenant).values_list("email", flat=True))
    outside = [address for address in everybody if address not in members]
    if not outside:
        return everybody
    with suppress(*RedisDownError):
        times = mails * len(outside)
        if not throttle.allows("alerts", tenant.code, most=MOST_OUTSIDE, in_s=86_400, times=times):
            logger.warning("%s: its further addresses are told no more today", tenant.slug)
            return [address for address in everybody if address in members]
    return everybody


def tell_people(tenant: Tenant, subject: str, message: str, *, page: str = "overview") -> None:
    """Mail them. A mail that fails changes nothing."""
    tell(tenant, told_now(tenant), subject, f"{message}\n\n{page_of(tenant, page)}\n")
