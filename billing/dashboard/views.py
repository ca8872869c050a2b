"""The workspace's first page."""

from django.contrib.auth.decorators import login_required
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render

from agentflare.redis_store import RedisDownError
from billing.admission.gate import Gate
from billing.admission.selectors import RunningHold, running_holds
from billing.admission.services import books
from billing.dashboard.keys import KeyRow
from billing.dashboard.overview import alerts, has_calls, spend_chart, spending, working_keys
from billing.onboarding.selectors import may_own_another
from billing.usage.refusals import latest_refusals
from billing.usage.selectors import recent_calls
from tenants.members.access import Workspace, workspace_page
from tenants.members.invitations import waiting_for
from tenants.registry.models import Tenant
from tenants.users.models import Membership, User

_SHOWN = 10


@login_required
def home(request: HttpRequest) -> HttpResponse:
    """The only workspace, or the list of them; who has none makes one, where that is open."""
    tenants = tenants_of(request)
    assert isinstance(request.user, User)
    invitations = waiting_for(request.user)
    if len(tenants) == 1 and not invitations:
        return redirect("overview", slug=tenants[0].slug)
    may_make_one = may_own_another(request.user)
    if not tenants and not invitations and may_make_one:
        return redirect("new_workspace")
    roles = {
        row.tenant_id: row.get_role_display()
        for row in Membership.objects.filter(user=request.user)
    }
    context = {
        "tenants": [{"tenant": tenant, "role": roles.get(tenant.pk)} for tenant in tenants],
        "invitations": invitations,
        "may_make_one": may_make_one,
    }
    return render(request, "home.html", context)


@workspace_page()
def overview(request: HttpRequest, workspace: Workspace) -> HttpResponse:
    """Balance, spend, what runs and what ran; without a call, the way to the first one."""
    tenant = workspace.tenant
    if not has_calls():
        return _render_start(request, workspace)
    if request.htmx:  # type: ignore[attr-defined]
        return HttpResponse(headers={"HX-Refresh": "true"})
    gate, holds = _gate_and_holds(tenant)
    spent, keys = spending(tenant), working_keys()
    context = {
        "tenant": tenant,
        "gate": gate,
        "holds": holds,
        "spent": spent,
        "days_left": spent.days_left(gate.available) if gate else None,
        "alerts": alerts(tenant=tenant, gate=gate, spent=spent, keys=keys),
        "chart": spend_chart(),
        "calls": recent_calls(limit=_SHOWN),
        "key_count": len(_of_programs(keys)),
    }
    return render(request, "overview.html", context)


def _of_programs(keys: list[KeyRow]) -> list[KeyRow]:
    """Without the members' own of the playground, which no program can use."""
    return [row for row in keys if not row.key.is_of_playground]


def _render_start(request: HttpRequest, workspace: Workspace) -> HttpResponse:
    try:
        refusal = next(iter(latest_refusals(workspace.tenant.code)), None)
    except RedisDownError:
        refusal = None
    if request.htmx:  # type: ignore[attr-defined]  # the page asks whether there is one by now
        return render(request, "overview/first.html", {"refusal": refusal})
    gate, holds = _gate_and_holds(workspace.tenant)
    context = {
        "tenant": workspace.tenant,
        "gate": gate,
        "holds": holds,
        "refusal": refusal,
    }
    return render(request, "overview/start.html", context)


def _gate_and_holds(tenant: Tenant) -> tuple[Gate | None, list[RunningHold]]:
    try:
        return books(tenant), running_holds(tenant.code)
    except RedisDownError:
        return None, []


def tenants_of(request: HttpRequest) -> list[Tenant]:
    assert isinstance(request.user, User)
    return list(Tenant.objects.filter(memberships__user=request.user))
