"""What all pages (not /v1) share: their security headers, context and error pages."""

from typing import Any

from django.conf import settings
from django.http import HttpRequest, HttpResponse, HttpResponseBase
from django.shortcuts import render

from agentflare import api
from agentflare.middleware import GetResponse, is_api

# Scripts and styles come from our own files alone. The admin's theme (django-unfold, with
# Alpine.js) evaluates expressions in its markup and styles inline: it has its own line.
CONTENT_SECURITY_POLICY = (
    "default-src 'self'; img-src 'self' data:; frame-ancestors 'none'; base-uri 'self'; "
    "form-action 'self'; object-src 'none'"
)
ADMIN_CONTENT_SECURITY_POLICY = (
    CONTENT_SECURITY_POLICY + "; script-src 'self' 'unsafe-inline' 'unsafe-eval'; "
    "style-src 'self' 'unsafe-inline'"
)


class ContentSecurityPolicyMiddleware:
    def __init__(self, get_response: GetResponse) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponseBase:
        response = self.get_response(request)
        is_admin = request.path_info.startswith("/admin/")
        policy = ADMIN_CONTENT_SECURITY_POLICY if is_admin else CONTENT_SECURITY_POLICY
        response.setdefault("Content-Security-Policy", policy)
        return response


def site(request: HttpRequest) -> dict[str, Any]:
    """Template context: what the base template needs on every page."""
    return {"sandbox": settings.SANDBOX, "base_url": f"{settings.AGENTFLARE_URL}/v1"}


def handler404(request: HttpRequest, exception: Exception) -> HttpResponse:
    if is_api(request):
        return api.not_found(request)
    return render(request, "404.html", status=404)


def handler500(request: HttpRequest) -> HttpResponse:
    if is_api(request):
        return api.server_error()
    return render(request, "500.html", status=500)
