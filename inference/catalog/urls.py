from django.urls import path

from inference.catalog import operator_pages, pages, price_pages

urlpatterns = [
    path("t/<slug:slug>/models/", pages.models, name="models"),
    path("t/<slug:slug>/models/<path:name>/", pages.model, name="model"),
    path("admin/prices/", price_pages.prices, name="admin_prices"),
    path("admin/prices/history/<path:name>/", price_pages.history, name="admin_price_history"),
    path(
        "admin/prices/withdraw/<str:what>/<int:pk>/",
        price_pages.withdraw_price,
        name="admin_price_withdraw",
    ),
    path("admin/catalogue/compare/", operator_pages.comparison, name="admin_comparison"),
    path("admin/catalogue/compare/now/", operator_pages.compare_now, name="admin_compare_now"),
    path(
        "admin/catalogue/compare/<int:difference_id>/dismiss/",
        operator_pages.dismiss,
        name="admin_difference_dismiss",
    ),
    path("admin/catalogue/notice/<path:name>/", operator_pages.notice, name="admin_model_notice"),
]
