"""What a person may begin."""

from datetime import datetime

from django.conf import settings
from django.db.models import Q

from agentflare.ids import first_uuid7
from billing.onboarding.models import TrialGrant
from billing.usage.models import UsageRecord
from tenants.users.models import Membership, Role, User

# All addresses with these domains, and with or without dots, are one mailbox.
_DOTLESS = {"gmail.com", "googlemail.com"}


def owned_workspaces(user: User) -> int:
    return Membership.objects.filter(user=user, role=Role.OWNER).count()


def may_own_another(user: User) -> bool:
    return settings.SIGNUP_OPEN and owned_workspaces(user) < settings.WORKSPACES_PER_PERSON


def trial_left(user: User) -> int:
    """The trial credit that a person's next workspace would be given."""
    has_had = TrialGrant.objects.filter(Q(user=user) | Q(mailbox=mailbox_of(user.email)))
    return 0 if has_had.exists() else settings.TRIAL_CREDIT_NUSD


def mailbox_of(email: str) -> str:
    """One spelling of all addresses that lead to the same mailbox: no tag, no dots of Gmail."""
    name, _, domain = email.lower().rpartition("@")
    name = name.partition("+")[0] or name
    if domain in _DOTLESS:
        name, domain = name.replace(".", ""), "gmail.com"
    return f"{name}@{domain}"


def first_call_after(moment: datetime) -> UsageRecord | None:
    """The first settled one that arrived after it. In the tenant's schema."""
    # Ids sort by time: this reads one row, however many there are.
    calls = UsageRecord.objects.filter(request_id__gt=first_uuid7(moment))
    return calls.order_by("request_id").first()
