"""The operators' trail in the admin: read, by who may."""

from typing import Any

from django.contrib import admin
from django.http import HttpRequest
from django.urls import reverse
from django.utils.html import format_html, format_html_join
from unfold.admin import ModelAdmin
from unfold.decorators import display

from tenants.operators.models import OperatorAction


@admin.register(OperatorAction)
class OperatorActionAdmin(ModelAdmin):
    """Who did what in the admin or by a command, when, from where and why."""

    list_display = ("created_at", "actor", "told", "subject", "of_tenant", "reason")
    list_display_links = ("created_at",)
    list_filter = ("action", "actor")
    search_fields = ("actor", "action", "subject", "reason", "tenant_code")
    date_hierarchy = "created_at"
    fields = ("created_at", "actor", "ip", "told", "subject", "of_tenant", "reason", "what")
    readonly_fields = ("told", "of_tenant", "what")

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    @display(description="Action", ordering="action")
    def told(self, action: OperatorAction) -> str:
        return action.action.replace("_", " ").replace(".", " ")

    @display(description="Tenant", ordering="tenant_code")
    def of_tenant(self, action: OperatorAction) -> str:
        if not action.tenant_code:
            return "–"
        path = reverse("admin_tenant", args=[action.tenant_code])
        return format_html('<a href="{}">{}</a>', path, action.tenant_code)

    @display(description="What changed")
    def what(self, action: OperatorAction) -> str:
        lines = ((name.replace("_", " "), _told(value)) for name, value in action.detail.items())
        return format_html_join("", "<div>{}: {}</div>", lines) or "–"


def _told(value: Any) -> str:
    match value:
        case [before, after] if not isinstance(before, str) or not before.startswith(
            ("added ", "changed ", "deleted ")
        ):
            return f"{_one(before)} → {_one(after)}"
        case list():
            return "; ".join(map(_one, value))
    return _one(value)


def _one(value: Any) -> str:
    match value:
        case None | "" | []:
            return "nothing"
        case bool():
            return "yes" if value else "no"
    return str(value)
