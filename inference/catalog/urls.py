from django.urls import path

from inference.catalog import operator_pages, pages

urlpatterns = [
    path("t/<slug:slug>/models/", pages.models, name="models"),
    path("t/<slug:slug>/models/<path:name>/", pages.model, name="model"),
    path("admin/catalogue/compare/", operator_pages.comparison, name="admin_comparison"),
    path("admin/catalogue/compare/now/", operator_pages.compare_now, name="admin_compare_now"),
    path(
        "admin/catalogue/compare/<int:difference_id>/dismiss/",
        operator_pages.dismiss,
        name="admin_difference_dismiss",
    ),
    path("admin/catalogue/notice/<path:name>/", operator_pages.notice, name="admin_model_notice"),
]
