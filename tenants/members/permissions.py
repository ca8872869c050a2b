"""What each role may do in a workspace. The pages ask here, on the server, for every request."""

from enum import StrEnum

from tenants.users.models import Role


class Permission(StrEnum):
    """One thing that some of a workspace's people may do."""

    VIEW = "see balance, usage and models"
    CALL = "call models in the playground"
    USE_AGENTS = "make and change agents, and talk to them"
    MANAGE_KEYS = "make, change and revoke API keys"
    VIEW_BILLING = "see payments, invoices and the statement"
    MANAGE_BILLING = "buy credit and change how it is paid"
    MANAGE_TEAM = "invite, change and remove people"
    MANAGE_SETTINGS = "change settings, alerts and webhooks"
    VIEW_AUDIT = "read the audit trail"
    OWN = "transfer or close the workspace"


# In a role's place: an operator who looks, and changes nothing (visits.py).
VISITOR = "operator"

_VIEWER = frozenset({Permission.VIEW})
_DEVELOPER = _VIEWER | {Permission.CALL, Permission.USE_AGENTS, Permission.MANAGE_KEYS}
_BILLING = _VIEWER | {Permission.VIEW_BILLING, Permission.MANAGE_BILLING}
_OWNER = frozenset(Permission)

GRANTED: dict[str, frozenset[Permission]] = {
    Role.OWNER: _OWNER,
    Role.ADMIN: _OWNER - {Permission.OWN},
    Role.DEVELOPER: _DEVELOPER,
    Role.BILLING: _BILLING,
    Role.VIEWER: _VIEWER,
    # The pages of these are looked at; no form of theirs is taken.
    VISITOR: frozenset(
        {
            Permission.VIEW,
            Permission.VIEW_BILLING,
            Permission.VIEW_AUDIT,
            Permission.MANAGE_SETTINGS,
        }
    ),
}


def is_granted(role: str, permission: Permission) -> bool:
    return permission in GRANTED.get(role, frozenset())


def roles_with(permission: Permission) -> list[Role]:
    """Whom to ask: the roles that have it, the most powerful first."""
    return [role for role in Role if is_granted(role, permission)]


def may_give(own_role: str, role: str) -> bool:
    """Whether who has `own_role` may make others `role`, or change those who are it: nobody
    gives or takes a right that they do not have."""
    own, other = GRANTED.get(own_role, frozenset()), GRANTED.get(role, frozenset())
    return Permission.MANAGE_TEAM in own and other <= own


def roles_given_by(own_role: str) -> list[Role]:
    return [role for role in Role if may_give(own_role, role)]


# For people who choose one.
ABOUT_ROLES: dict[str, str] = {
    Role.OWNER: "everything, also transfer and close the workspace",
    Role.ADMIN: "everything but that",
    Role.DEVELOPER: "playground, agents and API keys",
    Role.BILLING: "payments, invoices and the statement",
    Role.VIEWER: "sees balance, usage and models",
}
