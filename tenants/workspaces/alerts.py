"""Whom a workspace wants to be told what should be known soon."""

from tenants.members.mails import page_of, tell
from tenants.registry.models import Tenant
from tenants.users.models import User
from tenants.workspaces.models import Preferences


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


def tell_people(tenant: Tenant, subject: str, message: str, *, page: str = "overview") -> None:
    """Mail them. A mail that fails changes nothing."""
    tell(tenant, alert_addresses(tenant), subject, f"{message}\n\n{page_of(tenant, page)}\n")
