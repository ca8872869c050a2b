"""The log of signing in: who came, from where and how, and who was not let in.

Failed attempts are as many as the sign-in's own limits let through; rows go after 90 days.
"""

from datetime import timedelta
from typing import Any

from allauth.account.internal.flows.login import get_authentication_records
from django.contrib.auth.signals import user_logged_in, user_login_failed
from django.http import HttpRequest
from django.utils import timezone

from agentflare.client_ip import client_ip
from agentflare.names import one_line
from tenants.users.models import SignIn, User

KEPT = timedelta(days=90)
_WORDS = {"password": "password", "mfa": "second factor", "code": "mailed code"}


def connect() -> None:
    user_logged_in.connect(_note_success, dispatch_uid="sign_ins")
    user_login_failed.connect(_note_failure, dispatch_uid="sign_ins")


def _note_success(sender: Any, request: HttpRequest, user: User, **kwargs: Any) -> None:
    records = get_authentication_records(request, user)
    methods = [str(record.get("method", "")) for record in records]
    _note(
        request,
        outcome=SignIn.Outcome.SIGNED_IN,
        email=user.email,
        user=user,
        method=", ".join(dict.fromkeys(_WORDS.get(each, each) for each in methods)),
    )


def _note_failure(
    sender: Any, credentials: dict[str, Any], request: HttpRequest | None = None, **kwargs: Any
) -> None:
    email = str(credentials.get("email") or credentials.get("username") or "")
    user = User.objects.filter(email=email.lower()).first()
    _note(request, outcome=SignIn.Outcome.FAILED, email=email, user=user, method="password")


def _note(
    request: HttpRequest | None, *, outcome: str, email: str, user: User | None, method: str
) -> None:
    agent = request.headers.get("User-Agent", "") if request else ""
    SignIn.objects.create(
        outcome=outcome,
        email=one_line(email)[:254].lower(),
        user=user,
        method=method[:60],
        ip=client_ip(request) if request else None,
        user_agent=one_line(agent)[:200],
    )


def forget_old() -> int:
    """Returns how many."""
    count, _ = SignIn.objects.filter(created_at__lt=timezone.now() - KEPT).delete()
    return count
