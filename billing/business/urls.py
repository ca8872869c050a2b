from django.urls import path

from billing.business import pages

# Beside the admin, which has pages for models alone.
urlpatterns = [
    path("admin/close/", pages.close, name="admin_close"),
]
