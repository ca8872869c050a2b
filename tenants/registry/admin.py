"""Tenants and their domains in the admin."""

import re
from collections.abc import Callable
from typing import Any, ClassVar

from django import forms
from django.contrib import admin, messages
from django.db.models import Count, QuerySet
from django.http import HttpRequest
from unfold.admin import ModelAdmin
from unfold.decorators import display

from agentflare.redis_store import RedisDownError
from tenants.registry.models import Domain, Tenant
from tenants.registry.services import SLUG, resume_tenant, suspend_tenant
from tenants.users.admin import MembershipInline
from tenants.users.models import User

DEFAULT_REASON = "Suspended by the operator. Please get in touch."

_LABEL = r"[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?"
HOST_NAME = re.compile(rf"{_LABEL}(?:\.{_LABEL})+")


class TenantForm(forms.ModelForm):  # type: ignore[type-arg]
    class Meta:
        model = Tenant
        fields = ("name", "slug")
        # The admin takes help for HTML, and the model's own has <slug> in it.
        help_texts: ClassVar[dict[str, str]] = {"slug": "Its address, as in /t/acme/"}

    def clean_slug(self) -> str:
        slug = str(self.cleaned_data["slug"])
        if not SLUG.fullmatch(slug):
            raise forms.ValidationError("Small letters and digits, with hyphens between them.")
        return slug


@admin.register(Tenant)
class TenantAdmin(ModelAdmin):
    """Made by `manage.py create_tenant`, which makes the schema too; never deleted here."""

    form = TenantForm
    inlines = (MembershipInline,)
    actions = ("suspend", "resume")

    list_display = ("name", "slug", "code", "standing", "member_count", "created_at")
    list_display_links = ("name", "slug")
    list_filter = (("suspended_at", admin.EmptyFieldListFilter),)
    list_before_template = "admin/tenants_note.html"
    search_fields = ("name", "slug", "code")
    readonly_fields = (
        "code",
        "schema_name",
        "created_at",
        "standing",
        "suspended_at",
        "suspension_reason",
    )
    fieldsets = (
        (None, {"fields": ("name", "slug")}),
        ("Made with it, and fixed", {"fields": ("code", "schema_name", "created_at")}),
        (
            "Standing",
            {
                "fields": ("standing", "suspended_at", "suspension_reason"),
                "description": "To change it, tick the tenant in the list and choose an action.",
            },
        ),
    )

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Tenant | None = None) -> bool:
        return False

    def get_queryset(self, request: HttpRequest) -> QuerySet[Tenant]:
        members = Count("memberships")
        tenants: QuerySet[Tenant] = super().get_queryset(request).annotate(members=members)
        return tenants

    @display(description="Standing", label={"Active": "success", "Suspended": "danger"})
    def standing(self, tenant: Tenant) -> str:
        return "Suspended" if tenant.is_suspended else "Active"

    @display(description="Members", ordering="members")
    def member_count(self, tenant: Any) -> int:
        return int(tenant.members)

    @admin.action(description="Suspend: refuse all calls", permissions=["change"])
    def suspend(self, request: HttpRequest, tenants: QuerySet[Tenant]) -> None:
        def change(tenant: Tenant, actor: str) -> None:
            suspend_tenant(tenant=tenant, reason=DEFAULT_REASON, actor=actor)

        self._change_standing(request, tenants, change, "Suspended")

    @admin.action(description="Resume: serve again", permissions=["change"])
    def resume(self, request: HttpRequest, tenants: QuerySet[Tenant]) -> None:
        def change(tenant: Tenant, actor: str) -> None:
            resume_tenant(tenant=tenant, actor=actor)

        self._change_standing(request, tenants, change, "Resumed")

    def _change_standing(
        self,
        request: HttpRequest,
        tenants: QuerySet[Tenant],
        change: Callable[[Tenant, str], None],
        done: str,
    ) -> None:
        """Change each, and say of each how it went."""
        assert isinstance(request.user, User)
        for tenant in tenants:
            try:
                change(tenant, request.user.email)
            except RedisDownError:
                self.message_user(
                    request,
                    f"{tenant}: written down, but Redis does not answer and calls may not notice "
                    "for a minute. Repeat this.",
                    messages.ERROR,
                )
            else:
                self.message_user(request, f"{done} {tenant}.", messages.SUCCESS)
            self.log_change(request, tenant, f"{done}.")


class DomainForm(forms.ModelForm):  # type: ignore[type-arg]
    def clean_domain(self) -> str:
        domain = str(self.cleaned_data["domain"]).lower()
        if not HOST_NAME.fullmatch(domain):
            raise forms.ValidationError(
                "A host name such as ai.example.com, without https://, port or path."
            )
        return domain


@admin.register(Domain)
class DomainAdmin(ModelAdmin):
    form = DomainForm
    list_display = ("domain", "tenant", "is_primary")
    list_filter = ("is_primary",)
    search_fields = ("domain", "tenant__name", "tenant__slug")
    list_select_related = ("tenant",)
    autocomplete_fields = ("tenant",)
    fields = ("domain", "tenant", "is_primary")
