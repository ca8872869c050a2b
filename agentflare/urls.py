"""All addresses, by who uses them."""

from django.contrib import admin
from django.urls import include, path, re_path

from agentflare import health
from agentflare.metrics import metrics
from inference.reference.views import reference_page
from inference.views import NotFoundView

handler404 = "agentflare.pages.handler404"
handler500 = "agentflare.pages.handler500"

urlpatterns = [
    # the tenant's program
    path("v1/", include("inference.urls")),
    path("v1/", include("agents.urls")),
    path("v1/", include([re_path("", NotFoundView.as_view())])),
    path("docs/api", reference_page, name="api_reference"),
    # who has no account yet
    path("", include("inference.front.urls")),
    # the tenant's people
    path("", include("billing.dashboard.urls")),
    path("", include("inference.catalog.urls")),
    path("", include("inference.upstreams.urls")),
    path("", include("inference.playground.urls")),
    path("", include("agents.dashboard.urls")),
    path("", include("inference.guides.urls")),
    path("", include("billing.onboarding.urls")),
    path("", include("tenants.members.urls")),
    path("", include("tenants.workspaces.urls")),
    path("", include("billing.payments.urls")),
    path("accounts/", include("tenants.users.urls")),
    # the operator
    path("", include("tenants.announcements.urls")),
    path("", include("billing.business.urls")),
    path("admin/", admin.site.urls),
    # whoever deploys it
    path("metrics", metrics, name="metrics"),
    path("health/live", health.live),
    path("health/ready", health.ready),
]
