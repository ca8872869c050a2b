from django.urls import path

from tenants.audit import pages as audit
from tenants.webhooks import pages as webhooks
from tenants.workspaces import pages

_SETTINGS = "t/<slug:slug>/settings/"
_WEBHOOKS = f"{_SETTINGS}webhooks/"
_ONE = f"{_WEBHOOKS}<int:endpoint_id>/"

urlpatterns = [
    path(_SETTINGS, pages.general, name="settings"),
    path(f"{_SETTINGS}limits/", pages.limits, name="settings_limits"),
    path(f"{_SETTINGS}alerts/", pages.alerts, name="settings_alerts"),
    path(_WEBHOOKS, webhooks.endpoint_list, name="webhooks"),
    path(f"{_WEBHOOKS}new/", webhooks.endpoint_new, name="webhook_new"),
    path(_ONE, webhooks.endpoint_detail, name="webhook"),
    path(f"{_ONE}log/", webhooks.endpoint_log, name="webhook_log"),
    path(f"{_ONE}change/", webhooks.endpoint_change, name="webhook_change"),
    path(f"{_ONE}rotate/", webhooks.endpoint_rotate, name="webhook_rotate"),
    path(f"{_ONE}ping/", webhooks.endpoint_ping, name="webhook_ping"),
    path(f"{_ONE}remove/", webhooks.endpoint_remove, name="webhook_remove"),
    path(f"{_ONE}<int:delivery_id>/", webhooks.delivery_detail, name="webhook_delivery"),
    path(f"{_ONE}<int:delivery_id>/again/", webhooks.delivery_again, name="webhook_again"),
    path("t/<slug:slug>/audit/", audit.trail, name="audit"),
    path("t/<slug:slug>/audit/export.csv", audit.export, name="audit_export"),
]
