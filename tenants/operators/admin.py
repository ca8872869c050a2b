"""The operators' trail in the admin: read, by who may."""

from typing import Any

from django.contrib import admin
from django.utils.html import format_html_join
from unfold.decorators import display

from tenants.operators.models import OperatorAction
from tenants.operators.read_only import ReadOnlyAdmin, tenant_link


@admin.register(OperatorAction)
class OperatorActionAdmin(ReadOnlyAdmin):
    """Who did what in the admin or by a command, when, from where and why."""

    list_display = ("created_at", "actor", "told", "subject", "of_tenant", "reason")
    list_display_links = ("created_at",)
    list_filter = ("action", "actor")
    search_fields = ("actor", "action", "subject", "reason", "tenant_code")
    date_hierarchy = "created_at"
    fields = ("created_at", "actor", "ip", "told", "subject", "of_tenant", "reason", "what")
    readonly_fields = ("told", "of_tenant", "what")

    @display(description="Action", ordering="action")
    def told(self, action: OperatorAction) -> str:
        return action.action.replace("_", " ").replace(".", " ")

    @display(description="Tenant", ordering="tenant_code")
    def of_tenant(self, action: OperatorAction) -> str:
        return tenant_link(action.tenant_code)

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
