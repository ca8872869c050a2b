from django.urls import path

from tenants.announcements import pages

urlpatterns = [
    path(
        "t/<slug:slug>/announcements/<int:announcement_id>/hide/",
        pages.hide,
        name="announcement_hide",
    ),
    path("admin/maintenance/", pages.maintenance_page, name="admin_maintenance"),
]
