"""What a workspace keeps and for how long, and all of it as a file."""

from contextlib import suppress
from pathlib import Path

from django import forms
from django.conf import settings
from django.contrib import messages
from django.http import FileResponse, Http404, HttpRequest, HttpResponse, HttpResponseBase
from django.shortcuts import redirect, render
from django.views.decorators.http import require_POST
from kombu.exceptions import OperationalError as BrokerError

from billing.exports.models import Export
from billing.exports.services import ExportRefusedError, request_export
from billing.exports.tasks import make_export_task
from tenants.audit import services as audit
from tenants.members.access import Workspace, workspace_page
from tenants.members.permissions import Permission
from tenants.users.forms import PlainForm
from tenants.workspaces.alerts import preferences_of
from tenants.workspaces.services import choose_retention

_SHOWN = 5
_MONTHS = (3, 6, 12, 24, 36, 60)


class RetentionForm(PlainForm):
    months = forms.TypedChoiceField(
        label="Single calls are kept",
        required=False,
        coerce=int,
        empty_value=None,
        choices=[("", "as long as we can"), *((months, f"{months} months") for months in _MONTHS)],
    )


@workspace_page(Permission.MANAGE_SETTINGS)
def data(request: HttpRequest, workspace: Workspace) -> HttpResponse:
    tenant = workspace.tenant
    form = RetentionForm(initial={"months": preferences_of(tenant).retention_months})
    if request.method == "POST":
        form = RetentionForm(request.POST)
        if form.is_valid():
            choose_retention(
                tenant=tenant,
                months=form.cleaned_data["months"],
                actor=workspace.acting(request),
            )
            messages.success(request, "Saved.")
            return redirect("settings_data", slug=tenant.slug)
    context = {
        "form": form,
        "operator_days": settings.USAGE_RETENTION_DAYS,
        **_exports(workspace),
    }
    return render(request, "settings/data.html", context, status=422 if form.errors else 200)


@workspace_page(Permission.MANAGE_SETTINGS)
def exports(request: HttpRequest, workspace: Workspace) -> HttpResponse:
    """The list alone: the page asks for it while one is being made."""
    return render(request, "settings/exports.html", _exports(workspace))


def _exports(workspace: Workspace) -> dict[str, object]:
    rows = list(Export.objects.filter(tenant=workspace.tenant)[:_SHOWN])
    return {"exports": rows, "is_busy": any(row.state == Export.State.WORKING for row in rows)}


@require_POST
@workspace_page(Permission.MANAGE_SETTINGS)
def export_new(request: HttpRequest, workspace: Workspace) -> HttpResponse:
    try:
        export = request_export(tenant=workspace.tenant, actor=workspace.acting(request))
    except ExportRefusedError as exc:
        messages.error(request, str(exc))
        return redirect("settings_data", slug=workspace.slug)
    with suppress(BrokerError, OSError):  # else it is found and started within a minute
        make_export_task.delay(export.pk)
    messages.success(request, "The export is being made. You get a mail when it is ready.")
    return redirect("settings_data", slug=workspace.slug)


@workspace_page(Permission.MANAGE_SETTINGS, for_operators=False)
def export_download(request: HttpRequest, workspace: Workspace, export_id: int) -> HttpResponseBase:
    export = Export.objects.filter(pk=export_id, tenant=workspace.tenant).first()
    if export is None:
        raise Http404
    path = Path(settings.EXPORT_DIR) / export.file
    if not export.is_there or not path.is_file():
        messages.error(request, "This export is gone: a file is kept for a day. Create a new one.")
        return redirect("settings_data", slug=workspace.slug)
    audit.record(
        actor=workspace.acting(request),
        action="workspace.export_downloaded",
        subject=workspace.slug,
        export=export.pk,
    )
    name = f"{workspace.slug}-{export.created_at:%Y-%m-%d}.zip"
    return FileResponse(path.open("rb"), as_attachment=True, filename=name)
