"""Upstreams in the admin. A token can be set and is never shown."""

from typing import Any

from django import forms
from django.contrib import admin
from django.http import HttpRequest
from unfold.admin import ModelAdmin
from unfold.decorators import display
from unfold.widgets import UnfoldAdminPasswordWidget, UnfoldAdminTextInputWidget

from inference.upstreams.models import Upstream
from inference.upstreams.secrets import encrypt
from inference.upstreams.services import UpstreamError, check


class UpstreamForm(forms.ModelForm):  # type: ignore[type-arg]
    api_token = forms.CharField(
        label="API token",
        required=False,
        widget=UnfoldAdminPasswordWidget(attrs={"autocomplete": "new-password"}),
        help_text="Stored encrypted, and never shown again. Empty: the one that is there stays.",
    )

    base_url = forms.CharField(
        label="Address",
        required=False,
        widget=UnfoldAdminTextInputWidget(),
        help_text="Of a server up to and with /v1. Empty: Cloudflare's own.",
    )

    class Meta:
        model = Upstream
        fields = (
            "name",
            "provider",
            "account_id",
            "base_url",
            "gateway_id",
            "api_token",
            "weight",
            "state",
        )

    def clean(self) -> dict[str, Any]:
        fields: dict[str, Any] = super().clean() or {}
        if not self.errors:
            names = ("name", "provider", "account_id", "base_url", "gateway_id", "weight")
            here = {name: getattr(self.instance, name) for name in names}
            try:
                check(Upstream(**{**here, **{n: fields[n] for n in names if n in fields}}))
            except UpstreamError as exc:
                self.add_error(None, str(exc))
        return fields


@admin.register(Upstream)
class UpstreamAdmin(ModelAdmin):
    form = UpstreamForm
    list_display = ("name", "provider", "account_id", "base_url", "label", "weight")
    list_filter = ("provider", "state")

    def get_readonly_fields(self, request: HttpRequest, obj: Upstream | None = None) -> Any:
        # Usage records and AI models name it.
        return ("name", "provider") if obj else ()

    def save_model(
        self, request: HttpRequest, obj: Upstream, form: forms.Form, change: bool
    ) -> None:
        if token := form.cleaned_data["api_token"]:
            obj.secret = encrypt(token)
        super().save_model(request, obj, form, change)

    @display(description="State", ordering="state", label={"Active": "success"})
    def label(self, upstream: Upstream) -> str:
        return str(Upstream.State(upstream.state).label)
