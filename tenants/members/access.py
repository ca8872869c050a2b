"""The door to a workspace's pages: a member with the right comes in, everybody else does not."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from functools import wraps
from typing import Any
from urllib.parse import urlsplit

from django.contrib.auth.views import redirect_to_login
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseBase, HttpResponseRedirect
from django.shortcuts import render
from django.urls import reverse
from django.utils.http import url_has_allowed_host_and_scheme

from agentflare import served
from agentflare.client_ip import client_ip
from tenants.audit.services import Actor
from tenants.members import visits
from tenants.members.models import note_visit
from tenants.members.permissions import Permission, is_granted, roles_with
from tenants.registry.models import Tenant
from tenants.registry.schemas import tenant_schema
from tenants.users.models import Membership, User
from tenants.workspaces.models import PastSlug

_READS = ("GET", "HEAD")


@dataclass(frozen=True)
class Workspace:
    """A tenant as one of its members sees it. Templates know it as `workspace`."""

    tenant: Tenant
    membership: Membership
    user: User
    # Until when an operator looks at it; None: this is one of its people.
    visit_ends_at: datetime | None = None

    @property
    def slug(self) -> str:
        return self.tenant.slug

    @property
    def role(self) -> str:
        return self.membership.role

    @property
    def actor(self) -> str:
        """As the audit trail names this person."""
        return self.user.email

    def acting(self, request: HttpRequest) -> Actor:
        """This person, who makes a change from where the request comes from."""
        return Actor(self.actor, client_ip(request), self.user.pk)

    def may(self, permission: Permission) -> bool:
        return is_granted(self.role, permission)

    @property
    def rights(self) -> dict[str, bool]:
        """For templates: `{% if workspace.rights.MANAGE_KEYS %}`."""
        return {permission.name: self.may(permission) for permission in Permission}

    def others(self) -> list[Tenant]:
        """The other workspaces of this person."""
        return list(Tenant.objects.filter(memberships__user=self.user).exclude(pk=self.tenant.pk))


def workspace_page(
    permission: Permission = Permission.VIEW, *, for_operators: bool = True
) -> Callable[..., Any]:
    """A view of `/t/<slug>/…`: gets the Workspace, and runs in the tenant's schema.

    Who is not a member gets 404: for them it does not exist. A member without the right
    gets 403, and is told whom to ask. What the view answers must be rendered when it
    returns; a streamed answer enters the schema by itself.

    An operator who looks at the workspace (visits.py) may open its pages, unless for_operators
    is false, and send no form.
    """

    def decorate(view: Callable[..., HttpResponseBase]) -> Callable[..., HttpResponseBase]:
        @wraps(view)
        def page(request: HttpRequest, slug: str, **kwargs: Any) -> HttpResponseBase:
            if not request.user.is_authenticated:
                return sign_in_first(request, slug)
            try:
                workspace = find_workspace(request, slug)
            except Http404:
                if moved := moved_to(request, slug):
                    return moved
                raise
            if served.why_not(workspace.tenant.code):
                return render(request, "workspace/upgrading.html", status=503)
            request.workspace = workspace  # type: ignore[attr-defined]
            if workspace.visit_ends_at and (request.method not in _READS or not for_operators):
                return render(request, "workspace/looking_only.html", status=403)
            if not workspace.may(permission):
                return forbidden(request, workspace, permission)
            with tenant_schema(workspace.tenant.code):
                return view(request, workspace, **kwargs)

        return page

    return decorate


def sign_in_first(request: HttpRequest, slug: str) -> HttpResponse:
    """To where one signs in, and from there back to a page that can be opened: what takes a form
    alone, or is a part of a page, is none."""
    back, is_part = request.get_full_path(), bool(request.headers.get("HX-Request"))
    if is_part or request.method not in ("GET", "HEAD"):
        back = _page_before(request) or reverse("overview", kwargs={"slug": slug})
    answer = redirect_to_login(back)
    # HTMX would follow a redirect, and put the page of sign-in into a part of this one.
    return HttpResponse(headers={"HX-Redirect": answer.url}) if is_part else answer


def _page_before(request: HttpRequest) -> str:
    """Where the browser was; empty where it does not say so, or was elsewhere."""
    url = request.headers.get("HX-Current-URL") or request.headers.get("Referer", "")
    if not url_has_allowed_host_and_scheme(url, {request.get_host()}):
        return ""
    parts = urlsplit(url)
    return f"{parts.path}?{parts.query}" if parts.query else parts.path


def moved_to(request: HttpRequest, slug: str) -> HttpResponse | None:
    """A redirect to where a workspace of this person, with its address changed, is now."""
    past = PastSlug.objects.filter(slug=slug, tenant__memberships__user=request.user.pk)
    if (found := past.select_related("tenant").first()) is None:
        return None
    match = request.resolver_match
    assert match is not None
    path = reverse(str(match.view_name), kwargs={**match.kwargs, "slug": found.tenant.slug})
    query = request.META.get("QUERY_STRING", "")
    # 307: what was posted is posted there again.
    return HttpResponseRedirect(f"{path}?{query}" if query else path, preserve_request=True)


def find_workspace(request: HttpRequest, slug: str) -> Workspace:
    """Raises Http404 for a workspace that is not there, or not this person's."""
    assert isinstance(request.user, User)
    membership = (
        Membership.objects.select_related("tenant", "tenant__plan", "tenant__closure", "visit")
        .filter(tenant__slug=slug, user=request.user)
        .first()
    )
    if membership is None:
        return _visited(request, slug)
    if membership.tenant.closed and membership.tenant.closed.deleted_at:
        raise Http404
    note_visit(membership)
    return Workspace(membership.tenant, membership, request.user)


def _visited(request: HttpRequest, slug: str) -> Workspace:
    """Raises Http404 for whoever is no operator that looks at it."""
    visitor = visits.visitor(request, slug)
    if visitor is None or (visitor.tenant.closed and visitor.tenant.closed.deleted_at):
        raise Http404
    return Workspace(visitor.tenant, visitor, visitor.user, visits.ends_at(request))


def forbidden(
    request: HttpRequest, workspace: Workspace, permission: Permission
) -> HttpResponseBase:
    roles = roles_with(permission)
    helpers = Membership.objects.filter(tenant=workspace.tenant, role__in=roles)
    context = {
        "permission": permission.value,
        "roles": roles,
        "helpers": helpers.select_related("user").order_by("created_at")[:5],
    }
    return render(request, "workspace/forbidden.html", context, status=403)
