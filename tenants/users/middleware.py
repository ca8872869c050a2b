"""Where a person is signed in, and when they were last there."""

from datetime import timedelta

from allauth.usersessions.models import UserSession
from django.http import HttpRequest, HttpResponseBase
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
