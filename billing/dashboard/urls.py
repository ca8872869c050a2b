from django.urls import path

from billing.dashboard import operator, views

urlpatterns = [
    path("", views.home, name="home"),
    path("t/<slug:slug>/", views.overview, name="overview"),
    # Beside the admin, which has pages for models alone.
    path("admin/holds/", operator.holds, name="admin_holds"),
]
