from django.urls import path

from billing.dashboard import closing, data, keys, operator, usage, views

_SETTINGS = "t/<slug:slug>/settings/"

urlpatterns = [
    path("t/<slug:slug>/", views.overview, name="overview"),
    path("t/<slug:slug>/keys/", keys.key_list, name="keys"),
    path("t/<slug:slug>/keys/new/", keys.key_new, name="key_new"),
    path("t/<slug:slug>/keys/<str:key_id>/", keys.key_detail, name="key"),
    path("t/<slug:slug>/keys/<str:key_id>/change/", keys.key_change, name="key_change"),
    path("t/<slug:slug>/keys/<str:key_id>/rotate/", keys.key_rotate, name="key_rotate"),
    path("t/<slug:slug>/keys/<str:key_id>/revoke/", keys.key_revoke, name="key_revoke"),
    path("t/<slug:slug>/usage/", usage.usage, name="usage"),
    path("t/<slug:slug>/usage/calls/", usage.calls, name="calls"),
    path("t/<slug:slug>/usage/calls/<str:request_id>/", usage.call_detail, name="call"),
    path("t/<slug:slug>/usage/refused/", usage.refusals, name="refusals"),
    path("t/<slug:slug>/usage/export/", usage.usage_export, name="usage_export"),
    path(f"{_SETTINGS}data/", data.data, name="settings_data"),
    path(f"{_SETTINGS}data/exports/", data.exports, name="settings_exports"),
    path(f"{_SETTINGS}data/export/", data.export_new, name="settings_export"),
    path(
        f"{_SETTINGS}data/exports/<int:export_id>/download/",
        data.export_download,
        name="export_download",
    ),
    path(f"{_SETTINGS}close/", closing.close, name="settings_close"),
    path(f"{_SETTINGS}close/reopen/", closing.reopen, name="settings_reopen"),
    # Beside the admin, which has pages for models alone.
    path("admin/holds/", operator.holds, name="admin_holds"),
]
