"""Writing the operators' trail."""

from typing import Any

from django.http import HttpRequest

from agentflare.client_ip import client_ip
from tenants.audit.services import Actor
from tenants.operators.models import OperatorAction
from tenants.registry.models import Tenant
from tenants.users.models import User


def operator(request: HttpRequest) -> Actor:
    """Who acts in the admin, and from where."""
    assert isinstance(request.user, User)
    return Actor(request.user.email, ip=client_ip(request), user_id=request.user.pk)


def record(
    *,
    actor: str | Actor,
    action: str,
    subject: str = "",
    reason: str = "",
    tenant: Tenant | None = None,
    **detail: Any,
) -> OperatorAction:
    """Note what an operator did. Call it inside the transaction that does it.

    action: noun.verb. detail: what JSON can hold; of what has changed, [before, after].
    """
    who = actor if isinstance(actor, Actor) else Actor(actor)
    return OperatorAction.objects.create(
        actor=who.name,
        ip=who.ip,
        action=action,
        subject=subject[:200],
        tenant_code=tenant.code if tenant else "",
        reason=reason,
        detail=detail,
    )
