"""The tenant's pages about money and use."""

from django.contrib.auth.decorators import login_required
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render

from agentflare.redis_store import RedisDownError
from billing.admission.selectors import running_holds
from billing.admission.services import books
from billing.onboarding.selectors import may_own_another
from billing.usage.selectors import recent_calls, spend_by_model
from tenants.keys.services import list_api_keys
from tenants.members.access import Workspace, workspace_page
from tenants.registry.models import Tenant
from tenants.users.models import User

# What the quickstart asks for.
QUICKSTART_MODEL = "llama-3.3-70b-fast"


@login_required
def home(request: HttpRequest) -> HttpResponse:
    """The only workspace, or the list of them; who has none makes one, where that is open."""
    tenants = tenants_of(request)
    if len(tenants) == 1:
        return redirect("overview", slug=tenants[0].slug)
    assert isinstance(request.user, User)
    may_make_one = may_own_another(request.user)
    if not tenants and may_make_one:
        return redirect("new_workspace")
    return render(request, "home.html", {"tenants": tenants, "may_make_one": may_make_one})


@workspace_page()
def overview(request: HttpRequest, workspace: Workspace) -> HttpResponse:
    """Balance, keys, spend by AI model and the latest calls of a workspace."""
    tenant = workspace.tenant
    try:
        gate, holds = books(tenant), running_holds(tenant.code)
    except RedisDownError:
        gate, holds = None, []
    spend = spend_by_model(days=30)
    context = {
        "tenant": tenant,
        "gate": gate,
        "holds": holds,
        "keys": list_api_keys(tenant=tenant),
        "calls": recent_calls(limit=20),
        "spend": spend,
        "spent_nusd": sum(row["cost_nusd"] for row in spend),
        "quickstart_model": QUICKSTART_MODEL,
    }
    return render(request, "overview.html", context)


def tenants_of(request: HttpRequest) -> list[Tenant]:
    assert isinstance(request.user, User)
    return list(Tenant.objects.filter(memberships__user=request.user))
