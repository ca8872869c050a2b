"""Celery's side of people: what is over is cleared away."""

from datetime import timedelta

from celery import shared_task
from django.contrib.sessions.backends.db import SessionStore
from django.utils import timezone

from tenants.users import sign_ins
from tenants.users.addresses import unproven_people

# A link to confirm an address works for three days; who comes later signs up again.
UNPROVEN_KEPT = timedelta(days=30)


@shared_task
def clear_people_task() -> int:
    """Delete sessions that are over, old lines of the log of sign-ins, and accounts that nobody
    ever confirmed. Returns how many of those."""
    SessionStore.clear_expired()
    sign_ins.forget_old()
    old = unproven_people().filter(date_joined__lt=timezone.now() - UNPROVEN_KEPT)
    count, _ = old.delete()
    return count
