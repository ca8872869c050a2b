"""Upstreams in the admin. A token can be set and is never shown."""

from typing import Any

from django import forms
from django.contrib import admin
from django.db import transaction
from django.http import HttpRequest
from unfold.decorators import display
from unfold.widgets import UnfoldAdminPasswordWidget, UnfoldAdminTextInputWidget

from inference.upstreams.hooks import tell_changed
from inference.upstreams.models import Upstream
from inference.upstreams.secrets import encrypt
from inference.upstreams.selectors import is_last_account
from inference.upstreams.services import UpstreamError, check
from inference.workers_ai.rate_limits import PER_MINUTE
from tenants.operators.reasons import ReasonedAdmin

KINDS_OF_WORK = frozenset({*PER_MINUTE, "tts"})


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
            "requests_per_minute",
            "state",
        )

    def clean_requests_per_minute(self) -> dict[str, int]:
        limits = self.cleaned_data["requests_per_minute"] or {}
        if not isinstance(limits, dict) or not all(
            isinstance(limit, int) and not isinstance(limit, bool) and limit > 0
            for limit in limits.values()
        ):
            raise forms.ValidationError('Kinds of work with whole numbers, as {"chat": 600}.')
        if unknown := limits.keys() - KINDS_OF_WORK:
            raise forms.ValidationError(
                f"There is no kind of work {sorted(unknown)[0]!r}. There are: "
                f"{', '.join(sorted(KINDS_OF_WORK))}."
            )
        return limits

    def clean_state(self) -> str:
        state: str = self.cleaned_data["state"]
        if (
            state != Upstream.State.ACTIVE
            and self.instance.pk
            and is_last_account(self.instance.pk)
        ):
            raise forms.ValidationError(
                "It is the last account: without it no model of the catalogue is served. Drain it "
                "on the page of upstreams, which asks whether you are sure."
            )
        return state

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
class UpstreamAdmin(ReasonedAdmin):
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
        transaction.on_commit(tell_changed)

    def has_delete_permission(self, request: HttpRequest, obj: Upstream | None = None) -> bool:
        """The last account is drained first, by who is sure."""
        may: bool = super().has_delete_permission(request, obj)
        return may and not (obj and is_last_account(obj.pk))

    def delete_model(self, request: HttpRequest, obj: Any) -> None:
        super().delete_model(request, obj)
        transaction.on_commit(tell_changed)

    @display(description="State", ordering="state", label={"Active": "success"})
    def label(self, upstream: Upstream) -> str:
        return str(Upstream.State(upstream.state).label)
