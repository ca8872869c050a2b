"""An operator looks at a workspace as its people see it: for half an hour, and changes nothing.

The visit stands in the operator's session. It is begun in the admin, with a reason, and both
trails have it: the operators', and the workspace's own.
"""

import time
from datetime import UTC, datetime

from django.http import HttpRequest

from tenants.audit import services as audit
from tenants.members.permissions import VISITOR
from tenants.operators.services import operator, record
from tenants.registry.models import Tenant
from tenants.registry.schemas import tenant_schema
from tenants.users.models import Membership, User

RIGHT = "registry.visit_tenant"
_SESSION = "members.visit"
_LASTS_S = 30 * 60


def begin(request: HttpRequest, tenant: Tenant, *, reason: str) -> None:
    """The visit before it, if there is one, ends."""
    actor = operator(request)
    with tenant_schema(tenant.code):
        audit.record(actor=actor, action="operator.visited", subject=tenant.slug, reason=reason)
    record(actor=actor, action="tenant.visited", subject=tenant.slug, reason=reason, tenant=tenant)
    request.session[_SESSION] = {"code": tenant.code, "until": time.time() + _LASTS_S}


def end(request: HttpRequest) -> None:
    request.session.pop(_SESSION, None)


def visitor(request: HttpRequest, slug: str) -> Membership | None:
    """What stands for a membership while an operator looks; never saved. None: nobody does."""
    visit = request.session.get(_SESSION)
    user = request.user
    if not visit or visit["until"] < time.time() or not isinstance(user, User):
        return None
    if not user.is_staff or not user.has_perm(RIGHT):
        return None
    tenants = Tenant.objects.select_related("plan", "closure")
    tenant = tenants.filter(code=visit["code"], slug=slug).first()
    return Membership(tenant=tenant, user=user, role=VISITOR) if tenant else None


def ends_at(request: HttpRequest) -> datetime:
    return datetime.fromtimestamp(request.session[_SESSION]["until"], tz=UTC)
