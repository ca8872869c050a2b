"""A workspace's team: roles changed, people removed, ownership handed over.

Each change locks the tenant's row, so that two at once see each other: a workspace has an owner
at any time. What the actor may do is read again under the lock.
"""

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import datetime

from django.db import transaction
from django.utils import timezone
from django_tenants.utils import schema_context

from agentflare.redis_store import RedisDownError
from tenants.audit import services as audit
from tenants.audit.services import Actor
from tenants.keys.models import ApiKey
from tenants.keys.services import revoke_api_key
from tenants.members import mails
from tenants.members.errors import LastOwnerError, NotAMemberError, RoleError
from tenants.members.models import Invitation
from tenants.members.permissions import may_give
from tenants.registry.models import Tenant
from tenants.registry.schemas import tenant_schema
from tenants.users.models import Membership, Role, User


@dataclass(frozen=True, slots=True)
class Member:
    """seen_at: when they last opened a page of the workspace; None: not yet."""

    membership: Membership
    seen_at: datetime | None

    @property
    def user(self) -> User:
        return self.membership.user

    @property
    def role(self) -> str:
        return self.membership.role


def members_of(tenant: Tenant) -> list[Member]:
    """The most powerful first, then by name."""
    rows = Membership.objects.filter(tenant=tenant).select_related("user", "visit")
    order = {role: number for number, role in enumerate(Role.values)}
    members = [Member(row, row.visit.seen_at if hasattr(row, "visit") else None) for row in rows]
    return sorted(members, key=lambda each: (order[each.role], each.user.email))


def change_role(*, tenant: Tenant, user_id: int, role: str, by: User, actor: Actor) -> Membership:
    """Raises NotAMemberError, RoleError or LastOwnerError."""
    with _team(tenant) as team:
        own, theirs = team.of(by.pk), team.of(user_id)
        if theirs.role == role:
            return theirs
        if not (may_give(own.role, theirs.role) and may_give(own.role, role)):
            raise RoleError(f"Your role, {own.role}, may not make a {theirs.role} {_a(role)}.")
        team.keep_an_owner(without=theirs, unless=role == Role.OWNER)
        before, theirs.role = theirs.role, role
        theirs.save(update_fields=["role"])
        _revoke_above(theirs)
        _record(tenant, actor, "member.role_changed", theirs, role=[before, role])
    if user_id != by.pk:
        mails.tell(
            tenant,
            [theirs.user.email],
            f"your role is {role} now",
            f"{actor.name} has changed your role in {tenant.name} from {before} to {role}.\n\n"
            f"{mails.page_of(tenant)}\n",
        )
    return theirs


def remove_member(
    *, tenant: Tenant, user_id: int, by: User, actor: Actor, with_keys: bool = False
) -> list[ApiKey]:
    """Take somebody out of the workspace; from now on every page of it is closed to them.

    with_keys: revoke the API keys they made; returned are the revoked ones. The invitations
    they have sent are revoked, too. Raises NotAMemberError, RoleError or LastOwnerError; then
    nothing is changed.
    """
    with _team(tenant) as team:
        own, theirs = team.of(by.pk), team.of(user_id)
        if not may_give(own.role, theirs.role):
            raise RoleError(f"Your role, {own.role}, may not remove {_a(theirs.role)}.")
        team.keep_an_owner(without=theirs)
        user = theirs.user
        _take_out(theirs, actor, "member.removed", keys_revoked=with_keys)
    revoked = revoke_keys_of(tenant, user, actor) if with_keys else []
    mails.tell(
        tenant,
        [user.email],
        "you are no longer a member",
        f"{actor.name} has removed you from the workspace {tenant.name}."
        + (" The API keys that you made there are revoked." if revoked else "")
        + "\n",
    )
    return revoked


def leave(*, tenant: Tenant, user: User, actor: Actor) -> None:
    """Raises NotAMemberError or LastOwnerError."""
    with _team(tenant) as team:
        own = team.of(user.pk)
        team.keep_an_owner(without=own)
        _take_out(own, actor, "member.left", revoke_invitations=False)
    mails.tell(
        tenant,
        mails.owners_of(tenant),
        f"{user.email} has left",
        f"{user.email} has left the workspace {tenant.name}. API keys that they made work on: "
        f"look through them at {mails.page_of(tenant)}\n",
    )


def transfer_ownership(*, tenant: Tenant, user_id: int, by: User, actor: Actor) -> Membership:
    """Make a member owner in one's own place; who hands over is an admin then.

    Raises NotAMemberError or RoleError.
    """
    with _team(tenant) as team:
        own, theirs = team.of(by.pk), team.of(user_id)
        if own.role != Role.OWNER or own.pk == theirs.pk:
            raise RoleError("Only an owner can hand the workspace over, to another member.")
        theirs.role, own.role = Role.OWNER, Role.ADMIN
        Membership.objects.bulk_update([theirs, own], ["role"])
        _revoke_above(own)
        _record(tenant, actor, "workspace.transferred", theirs, former_owner=by.email)
    mails.tell(
        tenant,
        {theirs.user.email, by.email, *mails.owners_of(tenant)},
        f"{theirs.user.email} is the owner now",
        f"{by.email} has handed the workspace {tenant.name} over to {theirs.user.email}, and is "
        f"an admin of it now.\n\n{mails.page_of(tenant)}\n",
    )
    return theirs


def keys_of(user: User) -> list[ApiKey]:
    """Those a person made that still work. Call it inside the tenant's schema."""
    keys = ApiKey.objects.filter(member_id=user.pk, revoked_at=None)
    return [key for key in keys if key.is_active]


def revoke_keys_of(tenant: Tenant, user: User, actor: Actor) -> list[ApiKey]:
    """All of them, though Redis be down: they are revoked within a minute then."""
    revoked: list[ApiKey] = []
    with tenant_schema(tenant.code):
        # Until there is none: one that manages keys may have made another meanwhile.
        while keys := keys_of(user):
            for key in keys:
                with suppress(*RedisDownError):
                    revoke_api_key(tenant=tenant, key_id=key.key_id, actor=actor)
            revoked += keys
    return revoked


# --- under the lock -----------------------------------------------------------------


class _Team:
    def __init__(self, tenant: Tenant) -> None:
        rows = Membership.objects.select_for_update(of=("self",)).select_related("user")
        self._members = {row.user_id: row for row in rows.filter(tenant=tenant).order_by("pk")}

    def of(self, user_id: int) -> Membership:
        """Raises NotAMemberError."""
        if user_id not in self._members:
            raise NotAMemberError("This person is no longer a member of the workspace.")
        return self._members[user_id]

    def keep_an_owner(self, *, without: Membership, unless: bool = False) -> None:
        """Raises LastOwnerError."""
        owners = {row.pk for row in self._members.values() if row.role == Role.OWNER}
        if not unless and owners == {without.pk}:
            raise LastOwnerError(
                f"{without.user.email} is the only owner. Make somebody else owner first."
            )


@contextmanager
def _team(tenant: Tenant) -> Iterator[_Team]:
    with schema_context("public"), transaction.atomic():
        Tenant.objects.select_for_update().get(pk=tenant.pk)
        yield _Team(tenant)


def _take_out(
    member: Membership,
    actor: Actor,
    action: str,
    *,
    revoke_invitations: bool = True,
    **detail: object,
) -> None:
    tenant, user = member.tenant, member.user
    role = member.role
    member.delete()
    if revoke_invitations:
        open_ = Invitation.objects.filter(tenant=tenant, invited_by=user)
        open_.filter(revoked_at=None, accepted_at=None).update(revoked_at=timezone.now())
    _record_of(tenant, actor, action, user, role=role, **detail)


def _revoke_above(member: Membership) -> None:
    """Open invitations to what their sender may not give any more."""
    open_ = Invitation.objects.filter(
        tenant=member.tenant, invited_by=member.user, revoked_at=None, accepted_at=None
    )
    above = [row.pk for row in open_ if not may_give(member.role, row.role)]
    Invitation.objects.filter(pk__in=above).update(revoked_at=timezone.now())


def _record(
    tenant: Tenant, actor: Actor, action: str, member: Membership, **detail: object
) -> None:
    _record_of(tenant, actor, action, member.user, **detail)


def _record_of(tenant: Tenant, actor: Actor, action: str, user: User, **detail: object) -> None:
    with tenant_schema(tenant.code):
        audit.record(actor=actor, action=action, subject=user.email[:100], **detail)


def _a(role: str) -> str:
    return f"an {role}" if role[0] in "aeiou" else f"a {role}"
