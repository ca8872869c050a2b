"""Mails to people about a workspace and its team, in plain words."""

import logging
from collections.abc import Iterable
from smtplib import SMTPException

from django.conf import settings
from django.core.mail import send_mail
from django.urls import reverse

from agentflare.names import one_line
from tenants.members.models import Invitation
from tenants.registry.models import Tenant
from tenants.users.models import Membership, Role

logger = logging.getLogger(__name__)

# What a mailer says when it cannot send.
MAIL_FAILURES = (OSError, SMTPException)


def tell(tenant: Tenant, addresses: Iterable[str], subject: str, message: str) -> None:
    """Mail each of them. What is told has happened: a mail that fails changes nothing."""
    for address in sorted(set(addresses)):
        try:
            send(address, f"{tenant.name}: {subject}", message)
        except MAIL_FAILURES:
            logger.exception("A mail of %s could not be sent", tenant.slug)


def owners_of(tenant: Tenant) -> list[str]:
    owners = Membership.objects.filter(tenant=tenant, role=Role.OWNER, user__is_active=True)
    return list(owners.values_list("user__email", flat=True))


def page_of(tenant: Tenant, name: str = "overview") -> str:
    """Its absolute address."""
    return settings.AGENTFLARE_URL + reverse(name, kwargs={"slug": tenant.slug})


def send_invitation(invitation: Invitation, token: str) -> None:
    """Raises one of MAIL_FAILURES."""
    tenant, inviter = invitation.tenant, invitation.invited_by
    link = settings.AGENTFLARE_URL + reverse("invitation", kwargs={"token": token})
    who = f"{inviter.email} invites you" if inviter else "You are invited"
    send(
        invitation.email,
        f"You are invited to {tenant.name}",
        f"{who} to the workspace {tenant.name} at AgentFlare, as {invitation.role}.\n\n"
        f"Join here: {link}\n\n"
        f"The link works once, until {invitation.expires_at:%Y-%m-%d %H:%M} UTC, and only for "
        f"{invitation.email}. If you did not expect it, do nothing: without the link nothing "
        "happens.\n",
    )


def send(address: str, subject: str, message: str) -> None:
    """Raises one of MAIL_FAILURES."""
    send_mail(
        # No line break of a workspace's or a key's name may end the header.
        subject=one_line(subject),
        message=message,
        from_email=None,
        recipient_list=[address],
    )
