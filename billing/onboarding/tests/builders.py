"""People and their workspaces for tests."""

from typing import Any
from uuid import uuid4

from django.test import Client

from billing.ledger.models import LedgerAccount
from billing.onboarding.services import open_workspace
from tenants.audit.services import Actor
from tenants.registry.models import Tenant
from tenants.registry.schemas import tenant_schema
from tenants.users.models import User

USD = 1_000_000_000


def a_user(email: str = "") -> User:
    return User.objects.create_user(email or f"ann-{uuid4().hex[:10]}@people.test")


def browser_of(user: User) -> Client:
    client = Client()
    client.force_login(user)
    return client


def new_slug() -> str:
    return f"shop-{uuid4().hex[:10]}"


def make(client: Client, slug: str, name: str = "The Shop") -> Any:
    return client.post("/new/", {"name": name, "slug": slug})


def open_one(user: User, slug: str = "") -> Tenant:
    return open_workspace(
        user=user, name="Shop", slug=slug or new_slug(), actor=Actor(user.email, "10.0.0.1")
    )


def ledger_of(tenant: Tenant) -> dict[str, int]:
    with tenant_schema(tenant.code):
        return dict(LedgerAccount.objects.values_list("code", "balance_nusd"))
