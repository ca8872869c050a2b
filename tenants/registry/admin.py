"""Tenants and their domains in the admin."""

import re
from typing import Any, ClassVar

from django import forms
from django.contrib import admin, messages
from django.db.models import Count, QuerySet
from django.http import HttpRequest
from django.urls import reverse
from django.utils.html import format_html
from unfold.decorators import display

from agentflare.redis_store import RedisDownError
from tenants.operators.reasons import ReasonedAdmin
from tenants.registry.models import Domain, Plan, Tenant
from tenants.registry.services import change_limits, publish_plan
from tenants.registry.slugs import SLUG
from tenants.users.admin import MembershipInline
from tenants.users.models import User

_UNHEARD = (
    "written down, but Redis does not answer and calls may not notice for a minute. Repeat this."
)

_LABEL = r"[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?"
HOST_NAME = re.compile(rf"{_LABEL}(?:\.{_LABEL})+")


class TenantForm(forms.ModelForm):  # type: ignore[type-arg]
    class Meta:
        model = Tenant
        fields = (
            "name",
            "slug",
            "plan",
            "requests_per_minute",
            "tokens_per_minute",
            "concurrent_calls",
            "shrink_to_fit",
        )
        # The admin takes help for HTML, and the model's own has <slug> in it.
        help_texts: ClassVar[dict[str, str]] = {"slug": "Its address, as in /t/acme/"}

    def clean_slug(self) -> str:
        slug = str(self.cleaned_data["slug"])
        if not SLUG.fullmatch(slug):
            raise forms.ValidationError("Small letters and digits, with hyphens between them.")
        return slug


@admin.register(Tenant)
class TenantAdmin(ReasonedAdmin):
    """Made by `manage.py create_tenant`, which makes the schema too; never deleted here."""

    form = TenantForm
    inlines = (MembershipInline,)

    list_display = ("name", "account", "slug", "code", "standing", "member_count", "created_at")
    list_display_links = ("name", "slug")
    list_filter = (("suspended_at", admin.EmptyFieldListFilter),)
    list_before_template = "admin/tenants_note.html"
    search_fields = ("name", "slug", "code", "memberships__user__email")
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
        (
            "Limits",
            {
                "fields": (
                    "plan",
                    "requests_per_minute",
                    "tokens_per_minute",
                    "concurrent_calls",
                    "shrink_to_fit",
                ),
                "description": "What is empty is as the plan says. In force within a second.",
            },
        ),
        ("Made with it, and fixed", {"fields": ("code", "schema_name", "created_at")}),
        (
            "Standing",
            {
                "fields": ("standing", "suspended_at", "suspension_reason"),
                "description": "Suspended and served again on the tenant’s page.",
            },
        ),
    )

    def save_model(self, request: HttpRequest, obj: Tenant, form: TenantForm, change: bool) -> None:
        """Limits go through their service, which tells Redis and the audit trail."""
        plain = [name for name in form.changed_data if name in ("name", "slug")]
        if plain:
            obj.save(update_fields=plain)
        if not set(form.changed_data) - {*plain, "reason"}:
            return
        assert isinstance(request.user, User)
        try:
            change_limits(
                tenant=obj,
                plan=obj.plan,
                limits=obj.own_limits,
                shrink_to_fit=obj.shrink_to_fit,
                actor=request.user.email,
            )
        except RedisDownError:
            self.message_user(request, f"{obj}: {_UNHEARD}", messages.WARNING)

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Tenant | None = None) -> bool:
        return False

    def get_queryset(self, request: HttpRequest) -> QuerySet[Tenant]:
        members = Count("memberships")
        tenants: QuerySet[Tenant] = super().get_queryset(request).annotate(members=members)
        return tenants

    @display(description="Account")
    def account(self, tenant: Tenant) -> str:
        return format_html('<a href="{}">Open</a>', reverse("admin_tenant", args=[tenant.code]))

    @display(description="Standing", label={"Active": "success", "Suspended": "danger"})
    def standing(self, tenant: Tenant) -> str:
        return "Suspended" if tenant.is_suspended else "Active"

    @display(description="Members", ordering="members")
    def member_count(self, tenant: Any) -> int:
        return int(tenant.members)


class DomainForm(forms.ModelForm):  # type: ignore[type-arg]
    def clean_domain(self) -> str:
        domain = str(self.cleaned_data["domain"]).lower()
        if not HOST_NAME.fullmatch(domain):
            raise forms.ValidationError(
                "A host name such as ai.example.com, without https://, port or path."
            )
        return domain


@admin.register(Domain)
class DomainAdmin(ReasonedAdmin):
    form = DomainForm
    list_display = ("domain", "tenant", "is_primary")
    list_filter = ("is_primary",)
    search_fields = ("domain", "tenant__name", "tenant__slug")
    list_select_related = ("tenant",)
    autocomplete_fields = ("tenant",)
    fields = ("domain", "tenant", "is_primary")


@admin.register(Plan)
class PlanAdmin(ReasonedAdmin):
    """What is changed here holds for all its tenants within a second."""

    list_display = (
        "name",
        "slug",
        "is_default",
        "requests_per_minute",
        "tokens_per_minute",
        "concurrent_calls",
        "tenant_count",
    )
    search_fields = ("name", "slug")
    prepopulated_fields: ClassVar[dict[str, tuple[str, ...]]] = {"slug": ("name",)}

    def get_queryset(self, request: HttpRequest) -> QuerySet[Plan]:
        plans: QuerySet[Plan] = super().get_queryset(request)
        return plans.annotate(tenants=Count("tenant"))

    @display(description="Tenants", ordering="tenants")
    def tenant_count(self, plan: Any) -> str:
        return f"{plan.tenants} and all others" if plan.is_default else str(plan.tenants)

    def save_model(self, request: HttpRequest, obj: Plan, form: Any, change: bool) -> None:
        super().save_model(request, obj, form, change)
        try:
            publish_plan(obj)
        except RedisDownError:
            self.message_user(request, f"{obj}: {_UNHEARD}", messages.WARNING)
