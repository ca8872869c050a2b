"""What operators may do in the admin, by role. An admin (`is_superuser`) may do everything.

A role is a group of Django's whose rights stand here: they are set at each upgrade, so what is
changed there by hand does not last.
"""

from django.contrib.auth.models import Group, Permission
from django.db import transaction

_LOOK = (
    "registry.view_tenant",
    "registry.view_plan",
    "registry.view_domain",
    "catalog.view_aimodel",
    "catalog.view_route",
    "catalog.view_difference",
    "prices.view_priceversion",
    "prices.view_markup",
)
ROLES: dict[str, tuple[str, ...]] = {
    # Helps tenants: sees them, suspends them, changes their limits. No money.
    "Support": (
        *_LOOK,
        "registry.add_tenant",
        "registry.change_tenant",
        "registry.visit_tenant",
        "announcements.view_announcement",
        "announcements.add_announcement",
        "announcements.change_announcement",
        "operators.view_tenantnote",
        "operators.add_tenantnote",
        "users.view_user",
        "users.view_signin",
        "users.view_membership",
        "upstreams.view_upstream",
    ),
    # Sees the business, gives and takes credit, looks after Stripe and reconciliation.
    "Finance": (
        *_LOOK,
        "operators.view_tenantnote",
        "operators.add_tenantnote",
        "business.view_tenantday",
        "business.view_ledgermonth",
        "business.view_queuesample",
        "business.view_monthclose",
        "business.add_monthclose",
        "business.view_creditchange",
        "business.add_creditchange",
        "stripe.view_stripeevent",
        "stripe.view_knowndispute",
        "stripe.change_stripeevent",
        "reconciliation.view_upstreamday",
        "reconciliation.change_upstreamday",
    ),
}


@transaction.atomic
def sync_roles() -> None:
    """Repeats change nothing. Raises LookupError for a right that there is not."""
    known = {
        f"{permission.content_type.app_label}.{permission.codename}": permission
        for permission in Permission.objects.select_related("content_type")
    }
    for name, rights in ROLES.items():
        if missing := set(rights) - known.keys():
            raise LookupError(f"No such right: {', '.join(sorted(missing))}")
        group, _ = Group.objects.get_or_create(name=name)
        group.permissions.set(known[right] for right in rights)
