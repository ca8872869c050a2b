"""The settings of a workspace. Each tab is a page, and a form."""

from dataclasses import asdict

from django.conf import settings
from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.urls import NoReverseMatch, reverse

from agentflare.redis_store import RedisDownError
from tenants.members.access import Workspace, workspace_page
from tenants.members.permissions import Permission
from tenants.workspaces import services
from tenants.workspaces.alerts import alert_addresses, preferences_of
from tenants.workspaces.forms import AlertsForm, GeneralForm, LimitsForm


@workspace_page(Permission.MANAGE_SETTINGS)
def general(request: HttpRequest, workspace: Workspace) -> HttpResponse:
    tenant = workspace.tenant
    if request.method != "POST":
        return render(request, "settings/general.html", {"form": GeneralForm(tenant=tenant)})
    form = GeneralForm(request.POST, tenant=tenant)
    if form.is_valid():
        data = form.cleaned_data
        try:
            row = services.rename(
                tenant=tenant,
                name=data["name"],
                slug=data["slug"],
                actor=workspace.acting(request),
            )
        except services.SlugTakenError:
            form.add_error("slug", "Another workspace has this address, or had it. Choose another.")
        else:
            messages.success(request, "Saved.")
            return redirect("settings", slug=row.slug)
    return render(request, "settings/general.html", {"form": form}, status=422)


@workspace_page(Permission.MANAGE_SETTINGS)
def limits(request: HttpRequest, workspace: Workspace) -> HttpResponse:
    tenant = workspace.tenant
    if request.method != "POST":
        chosen = preferences_of(tenant)
        initial = {
            **asdict(chosen.own_limits),
            "shrink_to_fit": tenant.shrink_to_fit,
            "cache_ttl_s": tenant.cache_ttl_s or None,
        }
        form = LimitsForm(initial=initial, tenant=tenant)
        return _limits(request, form)
    form = LimitsForm(request.POST, tenant=tenant)
    if not form.is_valid():
        return _limits(request, form, status=422)
    try:
        services.choose_limits(
            tenant=tenant,
            limits=form.limits,
            shrink_to_fit=form.cleaned_data["shrink_to_fit"],
            cache_ttl_s=form.cleaned_data["cache_ttl_s"],
            actor=workspace.acting(request),
        )
    except RedisDownError:
        messages.warning(
            request, "Saved. One of our stores does not answer now: it takes effect in a minute."
        )
    else:
        messages.success(request, "Saved. It holds from this second on.")
    return redirect("settings_limits", slug=tenant.slug)


def _limits(request: HttpRequest, form: LimitsForm, *, status: int = 200) -> HttpResponse:
    context = {"form": form, "cache_hit_percent": settings.CACHE_HIT_PERCENT}
    return render(request, "settings/limits.html", context, status=status)


@workspace_page(Permission.MANAGE_SETTINGS)
def alerts(request: HttpRequest, workspace: Workspace) -> HttpResponse:
    tenant = workspace.tenant
    if request.method == "POST":
        form = AlertsForm(request.POST)
        if form.is_valid():
            services.choose_alerts(
                tenant=tenant,
                roles=form.cleaned_data["roles"],
                addresses=form.cleaned_data["addresses"],
                actor=workspace.acting(request),
            )
            messages.success(request, "Saved.")
            return redirect("settings_alerts", slug=tenant.slug)
    else:
        chosen = preferences_of(tenant)
        initial = {"roles": chosen.alert_roles, "addresses": "\n".join(chosen.alert_addresses)}
        form = AlertsForm(initial=initial)
    context = {
        "form": form,
        "told": alert_addresses(tenant),
        "billing_url": _url("billing", tenant.slug),
        "keys_url": _url("keys", tenant.slug),
    }
    return render(request, "settings/alerts.html", context, status=422 if form.errors else 200)


def _url(name: str, slug: str) -> str | None:
    try:
        return reverse(name, kwargs={"slug": slug})
    except NoReverseMatch:
        return None
