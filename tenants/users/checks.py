"""Settings that contradict each other."""

from typing import Any

from django.conf import settings
from django.core import checks


def check_mail(**_: Any) -> list[checks.CheckMessage]:
    """Who signs up waits for a mail."""
    prints = settings.EMAIL_BACKEND.endswith("console.EmailBackend")
    if not settings.SIGNUP_OPEN or not prints:
        return []
    return [
        checks.Warning(
            "SIGNUP_OPEN is set and EMAIL_URL is not: people wait for mails that are only printed.",
            hint="Set EMAIL_URL, or close the sign-up.",
            id="users.W001",
        )
    ]
