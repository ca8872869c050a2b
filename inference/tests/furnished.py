"""A workspace with one of everything that has an id, and people of every role in it."""

import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from uuid import UUID

from django.apps import apps
from django.conf import settings
from django.db import connection
from django.test import Client
from django.urls import URLPattern, URLResolver, get_resolver, reverse
from django.utils import timezone

from agentflare import secrets
from billing.dashboard.tests.builders import call, settle
from billing.exports.models import LIFE, Export
from billing.payments.accounts import billing_account
from billing.payments.models import TopUp
from tenants.announcements.models import Announcement
from tenants.audit.services import Actor
from tenants.keys.playground import playground_record
from tenants.keys.services import create_api_key
from tenants.members.invitations import invite
from tenants.members.tests.builders import member
from tenants.registry.schemas import tenant_schema
from tenants.users.models import Role, User
from tenants.webhooks import signing
from tenants.webhooks.models import WebhookDelivery, WebhookEndpoint

Ids = Mapping[str, Any]


@dataclass(frozen=True)
class Furnished:
    """ids: by the names that addresses have for them; `ours` are the tenant's own, and `shared`
    are everybody's."""

    cast: Any
    people: Mapping[Role, User]
    ours: Ids
    shared: Ids

    @property
    def slug(self) -> str:
        return str(self.cast.tenant.slug)

    def client_of(self, role: Role, **options: Any) -> Client:
        client = Client(**options)
        client.force_login(self.people[role])
        return client


def furnish(cast: Any) -> Furnished:
    people: dict[Role, User] = {Role.OWNER: cast.owner}
    for role in set(Role) - {Role.OWNER}:
        people[role] = member(cast, role)
    # Who talks to agents, or calls, has a key of the playground, which is made at first use.
    for role in (Role.OWNER, Role.ADMIN, Role.DEVELOPER):
        playground_record(tenant=cast.tenant, member=people[role], actor=Actor("test"))
    someone = member(cast, Role.VIEWER, "someone")
    key, _ = create_api_key(tenant=cast.tenant, name=f"Key of {cast.tenant.name}", actor="test")
    ended = call(cast, 1_000_000, key_id=key.key_id)
    settle(cast)
    invitation, _ = invite(
        tenant=cast.tenant,
        email=f"guest@{cast.tenant.slug}.test",
        role=Role.VIEWER,
        by=cast.owner,
        actor=Actor(cast.owner.email),
    )
    # Ids of a tenant's schema are counted there: by these no two tenants have the same.
    number = int.from_bytes(os.urandom(3), "big") + 1000
    with tenant_schema(cast.code):
        endpoint = WebhookEndpoint.objects.create(
            pk=number, url=f"https://{cast.tenant.slug}.test/hook", events=["balance.low"]
        )
        delivery = WebhookDelivery.objects.create(
            pk=number,
            endpoint=endpoint,
            event_id=f"msg_{number}",
            event="balance.low",
            body="{}",
            state=WebhookDelivery.State.FAILED,
        )
        billing_account()
        # One that is over: an open one is looked after by its page.
        top_up = TopUp.objects.create(
            kind=TopUp.Kind.CHECKOUT, credit_cents=2500, status=TopUp.Status.FAILED
        )
        agent, conversation = _agent()
    announcement = Announcement.objects.create(text="We move on Sunday")
    return Furnished(
        cast=cast,
        people=people,
        ours={
            "key_id": key.key_id,
            "request_id": UUID(ended.request_id),
            "export_id": _export(cast).pk,
            "top_up_id": top_up.pk,
            "invitation_id": invitation.pk,
            "user_id": someone.pk,
            "endpoint_id": endpoint.pk,
            "delivery_id": delivery.pk,
            "agent_id": f"agent_{agent.hex}",
            "conversation_id": f"conv_{conversation.hex}",
            "below": f"agent_{agent.hex}/conversations",
        },
        shared={
            "announcement_id": announcement.pk,
            "name": "llama-3.3-70b-fast",
            "endpoint": "chat/completions",
        },
    )


def _agent() -> tuple[UUID, UUID]:
    """An agent, and a conversation with it. By the names of their models: they are of the layer
    above."""
    agents = apps.get_model("definitions", "Agent").objects
    agent = agents.create(
        name="Ana",
        model="llama-3.3-70b-fast",
        tool_secret=secrets.encrypt(signing.make_secret(), purpose="agent-tools"),
    )
    conversations = apps.get_model("conversations", "Conversation").objects
    return agent.pk, conversations.create(agent=agent).pk


def _export(cast: Any) -> Export:
    file = Path(settings.EXPORT_DIR) / cast.code / "export.zip"
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_bytes(b"everything")
    return Export.objects.create(
        tenant=cast.tenant,
        requested_by=cast.owner.email,
        state=Export.State.READY,
        file=f"{cast.code}/export.zip",
        expires_at=timezone.now() + LIFE,
    )


# --- addresses ----------------------------------------------------------------------


@dataclass(frozen=True)
class Address:
    """One of the URL conf. route: with its parameters as the URL conf writes them."""

    route: str
    name: str
    parameters: tuple[str, ...]

    def at(self, slug: str, ids: Ids) -> str:
        given = {**ids, "slug": slug}
        if self.name == "guide":
            given["name"] = "billing"
        return reverse(self.name, kwargs={name: given[name] for name in self.parameters})


def every_address() -> Iterator[Address]:
    return _below(get_resolver().url_patterns, Address("", "", ()))


def _below(patterns: list[Any], above: Address) -> Iterator[Address]:
    """above: the routes, namespaces and parameters of the includes around them."""
    for each in patterns:
        route = above.route + str(each.pattern)
        parameters = above.parameters + tuple(each.pattern.regex.groupindex)
        if isinstance(each, URLResolver):
            inner = f"{each.namespace}:" if each.namespace else ""
            here = Address(route, above.name + inner, parameters)
            yield from _below(each.url_patterns, here)
        elif isinstance(each, URLPattern):
            yield Address(route, above.name + (each.name or ""), parameters)


def workspace_addresses() -> list[Address]:
    return [each for each in every_address() if each.route.startswith("t/<slug:slug>/")]


# --- what has changed ---------------------------------------------------------------


def rows_of(cast: Any) -> dict[str, str]:
    """Table of the tenant's schema → a digest of all its rows."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT tablename FROM pg_tables WHERE schemaname = %s", [cast.tenant.schema_name]
        )
        digests = {}
        for (table,) in cursor.fetchall():
            cursor.execute(
                f"SELECT md5(string_agg(rows::text, '' ORDER BY rows::text))"
                f' FROM "{cast.tenant.schema_name}"."{table}" AS rows'
            )
            digests[table] = cursor.fetchone()[0]
    return digests
