"""People in front of a workspace's pages."""

import re
import time
from typing import Any

from django.test import Client

from tenants.audit.models import AuditEvent
from tenants.audit.services import Actor
from tenants.registry.schemas import tenant_schema
from tenants.users.addresses import mark_verified
from tenants.users.models import Membership, Role, User
from tenants.users.services import add_member

PASSWORD = "correct-horse-1"


def person(cast: Any, name: str) -> User:
    """Somebody who is in no workspace yet."""
    user: User = User.objects.create_user(f"{name}@{cast.tenant.slug}.test", PASSWORD)
    mark_verified(user)
    return user


def member(cast: Any, role: str, name: str = "") -> User:
    email = f"{name or role}@{cast.tenant.slug}.test"
    return add_member(tenant=cast.tenant, email=email, role=Role(role), password=PASSWORD)


def signed_in(user: User, *, just_now: bool = False) -> Client:
    """just_now: with the password, so that they need not prove again who they are."""
    client = Client()
    client.force_login(user)
    if just_now:
        session = client.session
        session["account_authentication_methods"] = [
            {"method": "password", "at": time.time(), "reauthenticated": True}
        ]
        session["account_authentication_methods_user"] = str(user.pk)
        session.save()
    return client


def actor(user: User) -> Actor:
    return Actor(user.email, "203.0.113.9", user.pk)


def role_of(cast: Any, user: User) -> str | None:
    row = Membership.objects.filter(tenant=cast.tenant, user=user).first()
    return row.role if row else None


def audit_of(cast: Any) -> list[AuditEvent]:
    """Newest first."""
    with tenant_schema(cast.code):
        return list(AuditEvent.objects.all())


def text(response: Any) -> str:
    markup = re.sub(r'name="csrfmiddlewaretoken" value="\w+"', "", response.content.decode())
    return " ".join(markup.split())
