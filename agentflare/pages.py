"""What all pages (not /v1) share: their security headers, context and error pages."""

import sys
from typing import Any

from django.conf import settings
from django.db import InterfaceError, OperationalError
from django.http import HttpRequest, HttpResponse, HttpResponseBase
from django.shortcuts import render

from agentflare import api
from agentflare.errors import NotFoundError
from agentflare.middleware import GetResponse, is_api
from agentflare.navigation import navigation_of, settings_tabs
from agentflare.redis_store import RedisDownError

# A page that needs a store which does not answer: not our fault, and it passes.
STORE_DOWN = (OperationalError, InterfaceError, *RedisDownError)

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


# Not forms: they bound their bodies themselves.
_TAKE_MORE = ("playground_call", "stripe_webhook")


class ContentSecurityPolicyMiddleware:
    def __init__(self, get_response: GetResponse) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponseBase:
        response = self.get_response(request)
        is_admin = request.path_info.startswith("/admin/")
        policy = ADMIN_CONTENT_SECURITY_POLICY if is_admin else CONTENT_SECURITY_POLICY
        response.setdefault("Content-Security-Policy", policy)
        return response


class FormSizeMiddleware:
    """A form that is longer than any of ours is not read: whoever is served by this process
    would wait for it to be taken apart, and told back to its sender."""

    def __init__(self, get_response: GetResponse) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponseBase:
        return self.get_response(request)

    def process_view(
        self, request: HttpRequest, view: Any, args: Any, kwargs: Any
    ) -> HttpResponse | None:
        """Here, because the check of the CSRF token reads the form before the view is called."""
        match = request.resolver_match
        if is_api(request) or (match and match.url_name in _TAKE_MORE):
            return None
        if int(request.META.get("CONTENT_LENGTH") or 0) <= settings.MAX_FORM_BYTES:
            return None
        return render(request, "413.html", status=413)


class PageMiddleware:
    """What no page may forget: nobody keeps those of who is signed in, and none is blank."""

    def __init__(self, get_response: GetResponse) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponseBase:
        # Before: what pages ask of the API goes on as if it were below /v1.
        is_page = not is_api(request)
        response = self.get_response(request)
        if is_page and settings.SESSION_COOKIE_NAME in request.COOKIES:
            # The next person at this browser does not go back to it, either.
            response.setdefault("Cache-Control", "no-store, private")
        if is_api(request):
            return response
        if response.status_code == 405 and request.method in ("GET", "HEAD"):
            response = form_only(request, response)
        return response


def form_only(request: HttpRequest, refusal: HttpResponseBase) -> HttpResponse:
    """Instead of a bare refusal: somebody has opened the address that a form is sent to."""
    match = request.resolver_match
    context = {"slug": match.kwargs.get("slug") if match else None}
    response = render(request, "405.html", context, status=405)
    response["Allow"] = refusal.headers.get("Allow", "POST")
    if "Cache-Control" in refusal.headers:
        response["Cache-Control"] = refusal.headers["Cache-Control"]
    return response


def site(request: HttpRequest) -> dict[str, Any]:
    """Template context: what the base template needs on every page."""
    # Set by tenants.members.access on the pages of a workspace.
    workspace = getattr(request, "workspace", None)
    return {
        "sandbox": settings.SANDBOX,
        "mailbox_url": settings.MAILBOX_URL,
        "signup_is_open": settings.SIGNUP_OPEN,
        "base_url": f"{settings.AGENTFLARE_URL}/v1",
        "workspace": workspace,
        "navigation": navigation_of(request, workspace) if workspace else [],
        "settings_tabs": settings_tabs(request, workspace) if workspace else [],
    }


def handler404(request: HttpRequest, exception: Exception) -> HttpResponse:
    if is_api(request):
        return api.not_found(request)
    if "HTTP_AUTHORIZATION" in request.META or "HTTP_X_API_KEY" in request.META:
        # A program with the wrong base URL: browsers send neither to a page.
        return api.error_response(
            NotFoundError(
                f"Invalid URL ({request.method} {request.path}). The API is below /v1: "
                f"use the base URL {settings.AGENTFLARE_URL}/v1 (Anthropic's clients: "
                f"{settings.AGENTFLARE_URL})."
            )
        )
    return render(request, "404.html", status=404)


def csrf_failure(request: HttpRequest, reason: str = "") -> HttpResponse:
    return render(request, "403.html", {"is_form": True}, status=403)


def handler500(request: HttpRequest) -> HttpResponse:
    """Django calls it while the exception is being handled."""
    if is_api(request):
        return api.server_error(request)
    is_store_down = isinstance(sys.exc_info()[1], STORE_DOWN)
    response = render(
        request, "500.html", {"is_store_down": is_store_down}, status=503 if is_store_down else 500
    )
    if is_store_down:
        response["Retry-After"] = "5"
    return response
