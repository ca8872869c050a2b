"""Closing a workspace, with what happens to its credit, and opening it again."""

from typing import Any

from django import forms
from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.urls import NoReverseMatch, reverse
from django.views.decorators.http import require_POST

from agentflare.redis_store import RedisDownError
from billing.ledger.services import credit_account
from tenants.members.access import Workspace, workspace_page
from tenants.members.forms import PasswordAgainForm
from tenants.members.permissions import Permission
from tenants.workspaces.closing import close_workspace, reopen_workspace
from tenants.workspaces.models import GRACE

_LATE = "One of our stores does not answer now: it takes effect within a minute."


class CloseForm(PasswordAgainForm):
    """Who closes types the address, so that it is the one that is meant."""

    slug = forms.CharField(
        label="The workspace’s address",
        widget=forms.TextInput(attrs={"autocomplete": "off", "autocapitalize": "off"}),
        error_messages={"required": "Type the workspace’s address."},
    )
    credit = forms.BooleanField(
        label="I know what happens to the credit",
        error_messages={"required": "Tick this once you have read it."},
    )

    field_order = ("slug", "credit", "password")

    def __init__(self, *args: Any, workspace: Workspace, has_credit: bool, **options: Any) -> None:
        super().__init__(*args, **options)
        self._slug = workspace.slug
        self.fields["slug"].help_text = workspace.slug
        if not has_credit:
            del self.fields["credit"]

    def clean_slug(self) -> str:
        if self.cleaned_data["slug"].strip() != self._slug:
            raise forms.ValidationError(f"Type {self._slug}.")
        return self._slug


@workspace_page(Permission.OWN)
def close(request: HttpRequest, workspace: Workspace) -> HttpResponse:
    credit = credit_account().balance_nusd
    options: dict[str, Any] = {
        "request": request,
        "workspace": workspace,
        "has_credit": credit > 0,
    }
    form = CloseForm(**options)
    if request.method == "POST" and not workspace.tenant.closed:
        form = CloseForm(request.POST, **options)
        if form.is_valid():
            try:
                close_workspace(tenant=workspace.tenant, actor=workspace.acting(request))
            except RedisDownError:
                messages.warning(request, f"The workspace is closed. {_LATE}")
            else:
                messages.success(request, "The workspace is closed: its calls are refused.")
            return redirect("settings_close", slug=workspace.slug)
    context = {
        "form": form,
        "credit_nusd": credit,
        "closed": workspace.tenant.closed,
        "grace_days": GRACE.days,
        "refund_url": _url("billing_payments", workspace.slug) or _url("billing", workspace.slug),
    }
    return render(request, "settings/close.html", context, status=422 if form.errors else 200)


@require_POST
@workspace_page(Permission.OWN)
def reopen(request: HttpRequest, workspace: Workspace) -> HttpResponse:
    try:
        reopen_workspace(tenant=workspace.tenant, actor=workspace.acting(request))
    except RedisDownError:
        messages.warning(request, f"The workspace is open again. {_LATE}")
    else:
        messages.success(request, "The workspace is open again.")
    return redirect("settings_close", slug=workspace.slug)


def _url(name: str, slug: str) -> str | None:
    try:
        return reverse(name, kwargs={"slug": slug})
    except NoReverseMatch:
        return None
