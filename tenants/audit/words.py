"""The audit trail for people: what an action's name means, what its detail says."""

from typing import Any

from agentflare.money import format_usd
from tenants.audit.models import AuditEvent

ACTIONS = {
    "agent.changed": "changed an agent",
    "agent.created": "made an agent",
    "agent.deleted": "deleted an agent, with its conversations",
    "agent.secret_replaced": "replaced an agent’s tool secret",
    "api_key.created": "created an API key",
    "api_key.changed": "changed an API key",
    "api_key.rotated": "rotated an API key",
    "api_key.revoked": "revoked an API key",
    "balance_alert.changed": "changed the alert of a low balance",
    "credit.granted": "gave credit",
    "credit.taken": "took credit",
    "invitation.sent_again": "sent an invitation again",
    "invitation.revoked": "revoked an invitation",
    "member.invited": "invited somebody",
    "member.joined": "joined",
    "member.left": "left",
    "member.removed": "removed a member",
    "member.role_changed": "changed a role",
    "operator.closed": "closed the workspace as operator",
    "operator.exported": "asked for an export as operator",
    "operator.invited": "invited somebody as operator",
    "operator.reopened": "opened the workspace again as operator",
    "operator.visited": "looked at the workspace as operator, and changed nothing",
    "prices.changed": "set prices for this workspace as operator",
    "prices.withdrawn": "took back prices for this workspace as operator, before they started",
    "tenant.limits_changed": "changed plan or limits",
    "tenant.restored": "put the workspace back from a copy",
    "tenant.resumed": "ended the suspension",
    "tenant.suspended": "suspended the workspace",
    "usage.given_up": "gave a call up that could not be booked: nobody pays for it",
    "webhook.changed": "changed a webhook",
    "webhook.created": "created a webhook",
    "webhook.disabled": "switched a webhook off, which took nothing any more",
    "webhook.pinged": "tested a webhook",
    "webhook.removed": "removed a webhook",
    "webhook.secret_rotated": "changed a webhook’s secret",
    "webhook.sent_again": "sent an event again",
    "workspace.alerts_changed": "changed who is told",
    "workspace.closed": "closed the workspace",
    "workspace.exported": "asked for an export",
    "workspace.export_downloaded": "downloaded an export",
    "workspace.limits_chosen": "changed limits and defaults",
    "workspace.renamed": "changed name or address",
    "workspace.reopened": "opened the workspace again",
    "workspace.retention_changed": "changed how long calls are kept",
    "workspace.transferred": "handed the workspace over",
}


def what(action: str) -> str:
    return ACTIONS.get(action, action.replace(".", " ").replace("_", " "))


def details(event: AuditEvent) -> list[tuple[str, str]]:
    """Name and value; of what has changed, before and after."""
    return [
        (name.replace("_nusd", "").replace("_", " "), _told(name, value))
        for name, value in event.detail.items()
        if value not in (None, [], {}, "")
    ]


def _told(name: str, value: Any) -> str:
    if isinstance(value, list) and len(value) == 2 and not name.endswith("s"):
        before, after = (_one(name, each) for each in value)
        return f"{before} → {after}"
    return _one(name, value)


def _short(dollars: str) -> str:
    """With cents at least."""
    whole, _, rest = dollars.partition(".")
    return f"{whole}.{rest.rstrip('0'):0<2}"


def _one(name: str, value: Any) -> str:
    match value:
        case None | "" | [] | {}:
            return "none"
        case bool():
            return "yes" if value else "no"
        case list():
            return ", ".join(map(str, value))
    if name.endswith("_nusd"):
        return f"${_short(format_usd(int(value)))}"
    return str(value)
