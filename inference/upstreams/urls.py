from django.urls import path

from inference.upstreams import pages

urlpatterns = [
    path("admin/upstream-health/", pages.upstreams_page, name="admin_upstreams"),
    path("admin/upstream-health/<slug:name>/switch/", pages.switch, name="admin_upstream_switch"),
    path("admin/upstream-health/<slug:name>/test/", pages.test, name="admin_upstream_test"),
]
