"""Inviting people: a link by mail, for one address, once, for seven days.

The token is random and signed: noise is refused before any store is asked. Only its digest is kept.
"""

import hashlib
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta

from django.conf import settings
from django.core.signing import BadSignature, Signer
from django.db import transaction
from django.db.models import Sum
from django.http import HttpRequest
from django.utils import timezone
from django_tenants.utils import schema_context

from agentflare.ids import random_code
from tenants.audit import services as audit
from tenants.audit.services import Actor
from tenants.members import mails
from tenants.members.errors import InvitationError, NotAMemberError, RoleError
from tenants.members.models import Invitation
from tenants.members.permissions import may_give
from tenants.registry.models import Tenant
from tenants.registry.schemas import tenant_schema
from tenants.users.addresses import is_verified
from tenants.users.models import Membership, User

LIFE = timedelta(days=7)
# The session's note of an invitation that was opened there.
SESSION = "members.invitation"
_SALT = "tenants.members.invitations"
_SECRET_LENGTH = 32
# To one address, from one workspace, in a day.
_PER_ADDRESS = 3
_MOST_TIMES_SENT = 5
_PAUSE = timedelta(minutes=1)


def invite(
    *, tenant: Tenant, email: str, role: str, by: User, actor: Actor
) -> tuple[Invitation, bool]:
    """Invite an address and mail it the link. The bool tells whether the mail was sent.

    Raises RoleError or InvitationError; then there is no invitation.
    """
    email = User.objects.normalize_email(email).lower()
    with schema_context("public"), transaction.atomic():
        tenant = Tenant.objects.select_for_update().get(pk=tenant.pk)
        _check_open(tenant)
        _check_right(tenant, by, role)
        if Membership.objects.filter(tenant=tenant, user__email=email).exists():
            raise InvitationError(f"{email} is a member already.")
        _check_rate(tenant, by)
        _check_address(tenant, email)
        open_ = Invitation.objects.filter(
            tenant=tenant, email=email, revoked_at=None, accepted_at=None
        ).first()
        if open_ and open_.state == Invitation.State.PENDING:
            raise InvitationError(f"{email} is invited already. Send the mail again below.")
        invitation, token = _make(tenant, email, role, by, in_place_of=open_)
        _record(invitation, actor, "member.invited", role=role)
    return invitation, _mail(invitation, token)


def invite_as_operator(
    *, tenant: Tenant, email: str, role: str, by: User, actor: Actor, reason: str
) -> tuple[Invitation, bool]:
    """As `invite`, by who is no member. One that is open ends: its link is mailed anew.

    Raises InvitationError.
    """
    email = User.objects.normalize_email(email).lower()
    with schema_context("public"), transaction.atomic():
        tenant = Tenant.objects.select_for_update().get(pk=tenant.pk)
        _check_open(tenant)
        if Membership.objects.filter(tenant=tenant, user__email=email).exists():
            raise InvitationError(f"{email} is a member already.")
        open_ = Invitation.objects.filter(
            tenant=tenant, email=email, revoked_at=None, accepted_at=None
        ).first()
        invitation, token = _make(tenant, email, role, by, in_place_of=open_)
        _record(invitation, actor, "operator.invited", role=role, reason=reason)
    return invitation, _mail(invitation, token)


def _make(
    tenant: Tenant, email: str, role: str, by: User, *, in_place_of: Invitation | None
) -> tuple[Invitation, str]:
    if in_place_of:
        in_place_of.revoked_at = timezone.now()
        in_place_of.save(update_fields=["revoked_at"])
    token = _make_token()
    invitation = Invitation.objects.create(
        tenant=tenant,
        email=email,
        role=role,
        digest=_digest(token),
        invited_by=by,
        expires_at=timezone.now() + LIFE,
    )
    return invitation, token


def resend(
    *, tenant: Tenant, invitation_id: int, by: User, actor: Actor
) -> tuple[Invitation, bool]:
    """Mail a new link, for seven days from now; the one before ends.

    Raises Invitation.DoesNotExist, RoleError or InvitationError.
    """
    with _open_invitation(tenant, invitation_id, by) as invitation:
        _check_open(invitation.tenant)
        _check_rate(tenant, by)
        if invitation.times_sent >= _MOST_TIMES_SENT:
            raise InvitationError(
                f"This was sent {invitation.times_sent} times. Revoke it, and ask whether "
                f"{invitation.email} is the right address."
            )
        if timezone.now() < invitation.sent_at + _PAUSE:
            raise InvitationError("It was sent less than a minute ago. Wait a little.")
        token = _make_token()
        invitation.digest = _digest(token)
        invitation.sent_at, invitation.expires_at = timezone.now(), timezone.now() + LIFE
        invitation.times_sent += 1
        invitation.save()
        _record(invitation, actor, "invitation.sent_again")
    return invitation, _mail(invitation, token)


def revoke(*, tenant: Tenant, invitation_id: int, by: User, actor: Actor) -> Invitation:
    """The link ends. Raises Invitation.DoesNotExist, RoleError or InvitationError."""
    with _open_invitation(tenant, invitation_id, by) as invitation:
        invitation.revoked_at = timezone.now()
        invitation.save(update_fields=["revoked_at"])
        _record(invitation, actor, "invitation.revoked")
    return invitation


def find_invitation(token: str) -> Invitation | None:
    """The invitation that this link is of, whatever its state; None: of none, or not any more."""
    try:
        Signer(salt=_SALT).unsign(token)
    except BadSignature:
        return None
    rows = Invitation.objects.select_related("tenant", "invited_by")
    return rows.filter(digest=_digest(token)).first()


def pending_of(tenant: Tenant) -> list[Invitation]:
    """Open ones, also when they have expired, newest first."""
    rows = Invitation.objects.filter(tenant=tenant, revoked_at=None, accepted_at=None)
    return list(rows.select_related("invited_by"))


def invited_address(request: HttpRequest) -> str | None:
    """Whom the invitation is for that was opened in this browser, while it waits."""
    found = Invitation.objects.filter(pk=request.session.get(SESSION) or 0).first()
    return found.email if found and found.state == Invitation.State.PENDING else None


def waiting_for(user: User) -> list[Invitation]:
    """What somebody can accept without the mail: their address is proven."""
    if not is_verified(user):
        return []
    rows = Invitation.objects.filter(
        email=user.email.lower(),
        revoked_at=None,
        accepted_at=None,
        expires_at__gt=timezone.now(),
        tenant__closure=None,
    )
    return list(rows.exclude(tenant__memberships__user=user).select_related("tenant", "invited_by"))


def accept(*, invitation: Invitation, user: User, actor: Actor) -> Membership:
    """Join the workspace. Who is a member already keeps the role they have.

    Raises InvitationError when it is not theirs, or has ended.
    """
    with schema_context("public"), transaction.atomic():
        tenant = Tenant.objects.select_for_update().get(pk=invitation.tenant_id)
        row = Invitation.objects.select_for_update().get(pk=invitation.pk)
        if row.digest != invitation.digest:
            raise InvitationError("A newer link was mailed: use that one.")
        if row.state != Invitation.State.PENDING:
            raise InvitationError(f"This invitation is {row.state}.")
        if user.email.lower() != row.email or not is_verified(user):
            raise InvitationError(f"This invitation is for {row.email}.")
        if tenant.closed:
            raise InvitationError(f"{tenant.name} has been closed by its owner.")
        member, is_new = Membership.objects.get_or_create(
            tenant=tenant, user=user, defaults={"role": row.role}
        )
        row.accepted_at, row.accepted_by = timezone.now(), user
        row.save(update_fields=["accepted_at", "accepted_by"])
        _record(row, actor, "member.joined", role=member.role)
    if is_new and row.invited_by:
        mails.tell(
            tenant,
            [row.invited_by.email],
            f"{user.email} has joined",
            f"{user.email} has accepted your invitation and is {member.role} in {tenant.name} "
            f"now.\n\n{mails.page_of(tenant, 'team')}\n",
        )
    return member


# --- parts --------------------------------------------------------------------------


@contextmanager
def _open_invitation(tenant: Tenant, invitation_id: int, by: User) -> Iterator[Invitation]:
    """Locked; raises what `resend` does."""
    with schema_context("public"), transaction.atomic():
        Tenant.objects.select_for_update().get(pk=tenant.pk)
        rows = Invitation.objects.select_for_update(of=("self",)).select_related(
            "tenant", "invited_by"
        )
        invitation = rows.get(pk=invitation_id, tenant=tenant)
        _check_right(tenant, by, invitation.role)
        if invitation.revoked_at or invitation.accepted_at:
            raise InvitationError(f"This invitation is {invitation.state} already.")
        yield invitation


def _check_right(tenant: Tenant, by: User, role: str) -> None:
    member = Membership.objects.filter(tenant=tenant, user=by).first()
    if member is None:
        raise NotAMemberError("You are no longer a member of the workspace.")
    if not may_give(member.role, role):
        raise RoleError(f"Your role, {member.role}, may not invite as {role}.")


def _check_open(tenant: Tenant) -> None:
    """Raises InvitationError: nobody is invited to where they could not come in, or do nothing."""
    if tenant.closed:
        raise InvitationError("This workspace is closed: open it again first.")
    if tenant.is_suspended:
        raise InvitationError("This workspace is suspended: nobody is invited meanwhile.")


def _check_rate(tenant: Tenant, by: User) -> None:
    """Raises InvitationError. Under the tenant's lock, so that two at once count each other."""
    sent = Invitation.objects.filter(sent_at__gt=timezone.now() - timedelta(hours=1))
    most = settings.INVITATIONS_PER_HOUR
    for some in (sent.filter(tenant=tenant), sent.filter(invited_by=by)):
        # With what was sent of them before: one that is sent again and again is many mails.
        if (some.aggregate(mails=Sum("times_sent"))["mails"] or 0) >= most:
            raise InvitationError(f"At most {most} invitations in an hour. Try again later.")


def _check_address(tenant: Tenant, email: str) -> None:
    """Raises InvitationError."""
    day = timezone.now() - timedelta(days=1)
    to_address = Invitation.objects.filter(tenant=tenant, email=email, created_at__gt=day)
    if to_address.count() >= _PER_ADDRESS:
        raise InvitationError(f"{email} was invited {_PER_ADDRESS} times today. Try tomorrow.")


def _mail(invitation: Invitation, token: str) -> bool:
    try:
        mails.send_invitation(invitation, token)
    except mails.MAIL_FAILURES:
        mails.logger.exception("The invitation %d could not be mailed", invitation.pk)
        return False
    return True


def _record(invitation: Invitation, actor: Actor, action: str, **detail: object) -> None:
    with tenant_schema(invitation.tenant.code):
        audit.record(actor=actor, action=action, subject=invitation.email[:100], **detail)


def _make_token() -> str:
    return Signer(salt=_SALT).sign(random_code(_SECRET_LENGTH))


def _digest(token: str) -> str:
    return hashlib.sha256(token.encode()).hexdigest()
