"""The operator's pages about money that no model's list shows."""

from django.contrib import admin
from django.contrib.admin.views.decorators import staff_member_required
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render

from agentflare.redis_store import RedisDownError
from billing.admission.selectors import all_holds
from tenants.registry.models import Tenant

_SHOWN = 200


@staff_member_required
def holds(request: HttpRequest) -> HttpResponse:
    """The credit that running calls hold, of all tenants, the oldest first."""
    if not request.user.has_perm("registry.view_tenant"):
        raise PermissionDenied
    try:
        found = all_holds()
    except RedisDownError:
        found = None
    names = dict(Tenant.objects.values_list("code", "slug"))
    context = {
        **admin.site.each_context(request),
        "title": "Holds",
        "holds": None
        if found is None
        else [(names.get(hold.tenant_code, hold.tenant_code), hold) for hold in found[:_SHOWN]],
        "count": len(found or []),
        "held_nusd": sum(hold.amount_nusd for hold in found or []),
    }
    return render(request, "admin/holds.html", context)
