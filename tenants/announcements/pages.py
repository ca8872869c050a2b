"""Banners above a workspace's pages, and the operator's page of maintenance."""

from datetime import UTC
from functools import partial
from typing import Any

from django import forms
from django.contrib import admin, messages
from django.contrib.admin.views.decorators import staff_member_required
from django.contrib.auth.decorators import permission_required
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.views.decorators.http import require_http_methods, require_POST

from agentflare.redis_store import RedisDownError
from tenants.announcements import maintenance
from tenants.announcements.models import Maintenance
from tenants.announcements.selectors import announcements_for
from tenants.members.access import Workspace, workspace_page
from tenants.operators.reasons import ReasonForm
from tenants.operators.services import operator


def banners(request: HttpRequest) -> dict[str, Any]:
    """For templates of a workspace's pages; looked for only where they are drawn, and not with each
    part of a page."""
    workspace: Workspace | None = getattr(request, "workspace", None)
    if workspace is None:
        return {}
    return {
        "announcements": partial(announcements_for, workspace.tenant, workspace.user),
        "maintenance": maintenance.current,
    }


@workspace_page()
@require_POST
def hide(request: HttpRequest, workspace: Workspace, announcement_id: int) -> HttpResponse:
    """For this person, in all their workspaces. A repeat finds nothing any more."""
    for row in announcements_for(workspace.tenant, workspace.user):
        if row.pk == announcement_id and row.can_be_hidden:
            row.hidden_by.add(workspace.user)
            if request.headers.get("HX-Request"):
                return HttpResponse()
            return redirect("overview", slug=workspace.slug)
    raise Http404


class MaintenanceForm(ReasonForm):
    mode = forms.ChoiceField(choices=Maintenance.Mode.choices, widget=forms.RadioSelect)
    message = forms.CharField(
        label="Why, for everybody to read",
        max_length=200,
        required=False,
        help_text="Such as: we move to a larger database.",
    )
    ends_at = forms.DateTimeField(
        label="Until about (UTC)",
        required=False,
        help_text="What people can expect, as 2026-12-01 22:30. It ends by hand, here.",
    )
    field_order = ("mode", "message", "ends_at", "reason")

    def clean_ends_at(self) -> Any:
        moment = self.cleaned_data["ends_at"]
        return moment.replace(tzinfo=UTC) if moment else None


@staff_member_required
@permission_required("announcements.change_maintenance", raise_exception=True)
@require_http_methods(["GET", "POST"])
def maintenance_page(request: HttpRequest) -> HttpResponse:
    row = Maintenance.objects.order_by("pk").first() or Maintenance()
    begun = {"mode": row.mode, "message": row.message, "ends_at": row.ends_at}
    form = MaintenanceForm(request.POST or None, initial=begun, label_suffix="")
    if request.method == "POST" and form.is_valid():
        try:
            maintenance.change(
                mode=form.cleaned_data["mode"],
                message=form.cleaned_data["message"],
                ends_at=form.cleaned_data["ends_at"],
                reason=form.cleaned_data["reason"],
                actor=operator(request),
            )
            messages.success(request, "It holds everywhere within a second.")
        except RedisDownError:
            messages.warning(
                request,
                "It is written down, but Redis does not answer: processes learn of it within a "
                "minute after it does. Repeat this.",
            )
        return redirect("admin_maintenance")
    context = {
        **admin.site.each_context(request),
        "title": "Maintenance",
        "form": form,
        # All but the choice, which stands above them.
        "typed": [form[name] for name in MaintenanceForm.field_order[1:]],
        "row": row,
        "state": Maintenance.Mode(row.mode),
    }
    return render(request, "admin/maintenance.html", context)
