"""People for tests."""

from uuid import uuid4

from django.contrib.auth.models import Permission
from django.test import Client

from tenants.users.models import User


def staff_browser(*permissions: str) -> Client:
    """Of somebody who may enter the admin, and do there what `permissions` name."""
    user = User.objects.create(email=f"staff-{uuid4().hex}@x.test", is_staff=True)
    user.user_permissions.set(Permission.objects.filter(codename__in=permissions))
    client = Client()
    client.force_login(user)
    return client


def operator_browser() -> Client:
    """A browser in which an operator has signed in."""
    client = Client()
    client.force_login(User.objects.create_superuser(f"op-{uuid4().hex}@x.test"))
    return client
