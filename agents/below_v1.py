"""/v1's addresses of agents at the root, for whoever looks one up."""

from django.urls import include, path

urlpatterns = [path("", include("agents.urls"))]
