from django.urls import path

from billing.dashboard import keys, operator, usage, views

urlpatterns = [
    path("", views.home, name="home"),
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
    # Beside the admin, which has pages for models alone.
    path("admin/holds/", operator.holds, name="admin_holds"),
]
