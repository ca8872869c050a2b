"""Lists in the admin that are read, and links in them."""

from typing import Any

from django.http import HttpRequest
from django.urls import reverse
from django.utils.html import format_html
from unfold.admin import ModelAdmin


class ReadOnlyAdmin(ModelAdmin):
    """Nothing is added, changed or deleted here, by whomever."""

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False


def tenant_link(tenant_code: str) -> str:
    """To the tenant's page; a dash where it is of none."""
    if not tenant_code:
        return "–"
    page = reverse("admin_tenant", args=[tenant_code])
    return format_html('<a href="{}">{}</a>', page, tenant_code)
