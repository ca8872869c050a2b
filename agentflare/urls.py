"""All addresses, by who uses them."""

from django.contrib import admin
from django.urls import include, path

from agentflare import health

handler404 = "agentflare.pages.handler404"
handler500 = "agentflare.pages.handler500"

urlpatterns = [
    # the tenant's program
    path("v1/", include("inference.urls")),
    # the tenant's people
    path("", include("billing.dashboard.urls")),
    path("accounts/", include("tenants.users.urls")),
    # the operator
    path("admin/", admin.site.urls),
    # whoever deploys it
    path("health/live", health.live),
    path("health/ready", health.ready),
]
