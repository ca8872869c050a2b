"""Where a person is signed in, and when they were last there; and the admin's second lock."""

from datetime import timedelta
from typing import Any

from allauth.mfa.utils import is_mfa_enabled
from allauth.usersessions.models import UserSession
from django.conf import settings
from django.contrib import messages
from django.http import HttpRequest, HttpResponseBase
from django.shortcuts import redirect
from django.urls import reverse
from django.utils import timezone

from agentflare.middleware import GetResponse
from tenants.users.models import User

# A page that polls writes nothing most of the time.
TOUCHED_EVERY = timedelta(minutes=5)


class SessionActivityMiddleware:
    """Keeps the list of a person's sessions up to date; also of those begun in the admin."""

    def __init__(self, get_response: GetResponse) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponseBase:
        key = request.session.session_key
        # Who has no cookie costs no query here.
        if key and isinstance(request.user, User):
            fresh = timezone.now() - TOUCHED_EVERY
            if not UserSession.objects.filter(session_key=key, last_seen_at__gt=fresh).exists():
                UserSession.objects.create_from_request(request)
        return self.get_response(request)


class OperatorSecondFactorMiddleware:
    """Who may enter the admin needs a second factor before: a password alone opens all tenants."""

    def __init__(self, get_response: GetResponse) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponseBase:
        user: Any = getattr(request, "user", None)
        if (
            settings.OPERATORS_NEED_SECOND_FACTOR
            and request.path_info.startswith("/admin/")
            and request.path_info != reverse("admin:logout")
            and user is not None
            and user.is_staff
            and not is_mfa_enabled(user)
        ):
            messages.warning(request, "The admin asks for a second factor: set one up first.")
            return redirect("mfa_index")
        return self.get_response(request)
