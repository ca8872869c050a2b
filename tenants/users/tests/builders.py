"""People for tests."""

from uuid import uuid4

from django.test import Client

from tenants.users.models import User


def operator_browser() -> Client:
    """A browser in which an operator has signed in."""
    client = Client()
    client.force_login(User.objects.create_superuser(f"op-{uuid4().hex}@x.test"))
    return client
