"""Another SECRET_KEY: everything that is kept encrypted is read under it afterwards."""

from io import StringIO
from typing import Any
from uuid import uuid4

import pytest
from allauth.mfa.adapter import get_adapter
from allauth.mfa.models import Authenticator
from cryptography.fernet import Fernet
from django.apps import apps
from django.core.management import CommandError, call_command
from django.db import connection

from agentflare import secrets
from agents.definitions import services as agents
from agents.definitions.models import Agent
from agents.definitions.params import AgentParams
from inference.upstreams import secrets as upstream_secrets
from inference.upstreams.models import Upstream
from tenants.audit.services import Actor
from tenants.registry.models import Tenant
from tenants.registry.schemas import tenant_schema
from tenants.webhooks.delivery import PURPOSE as WEBHOOKS
from tenants.webhooks.endpoints import create_endpoint, rotate_secret
from tenants.webhooks.models import WebhookEndpoint

TOOL = {
    "type": "http",
    "name": "look",
    "description": "Looks",
    "parameters": {"type": "object", "properties": {}},
    "url": "https://tools.test/look",
    "headers": {"X-Key": "a header's secret"},
}


@pytest.fixture(autouse=True)
def _alone(acme: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Other tests' tenants stay as they are: their keys are still needed."""
    ours = Tenant.objects.filter(pk=acme.tenant.pk)
    monkeypatch.setattr(Tenant.objects, "order_by", lambda *_: ours)
    for table in (Upstream, Authenticator):
        table.objects.all().delete()


def furnish(cast: Any) -> tuple[dict[str, str], Any]:
    adapter = get_adapter()
    for kind, name in (("totp", "secret"), ("recovery_codes", "seed")):
        data = {name: adapter.encrypt(f"a {name}"), "used_mask": 0}
        Authenticator.objects.create(user=cast.owner, type=kind, data=data)
    Upstream.objects.create(
        name=f"up-{uuid4().hex[:8]}", secret=upstream_secrets.encrypt("a token")
    )
    actor = Actor("test")
    with tenant_schema(cast.code):
        endpoint, first = create_endpoint(
            tenant=cast.tenant, url="https://x.test/", name="", events=[], actor=actor
        )
        _, second = rotate_secret(endpoint_id=endpoint.pk, actor=actor)
        agent, signs = agents.create_agent(
            AgentParams.model_validate({"name": "Ana", "model": "qwen-3-30b", "tools": [TOOL]})
        )
    return {"old": first, "new": second, "tool": signs}, agent.pk


def expect_all_readable(cast: Any, made: dict[str, str], agent_id: Any) -> None:
    decrypt = get_adapter().decrypt
    kept = dict(Authenticator.objects.filter(user=cast.owner).values_list("type", "data"))
    assert decrypt(kept["totp"]["secret"]) == "a secret"
    assert decrypt(kept["recovery_codes"]["seed"]) == "a seed"
    assert upstream_secrets.decrypt(Upstream.objects.get().secret) == "a token"
    with tenant_schema(cast.code):
        endpoint, agent = WebhookEndpoint.objects.get(), Agent.objects.get(pk=agent_id)
    assert secrets.decrypt(endpoint.old_secret, purpose=WEBHOOKS) == made["old"]
    assert secrets.decrypt(endpoint.secret, purpose=WEBHOOKS) == made["new"]
    assert secrets.decrypt(agent.tool_secret, purpose=agents.PURPOSE) == made["tool"]
    assert agents.open_headers(agent.tool_list[0]) == TOOL["headers"]


def test_all_that_is_encrypted_comes_under_the_new_key(acme: Any, settings: Any) -> None:
    made, agent_id = furnish(acme)
    settings.SECRET_KEY, settings.SECRET_KEY_FALLBACKS = "another" * 9, [settings.SECRET_KEY]
    # Nothing has to be renewed to be read.
    expect_all_readable(acme, made, agent_id)

    told = StringIO()
    call_command("renew_secrets", stdout=told)
    settings.SECRET_KEY_FALLBACKS = []

    assert told.getvalue() == "7 renewed, 0 were under SECRET_KEY.\n"
    expect_all_readable(acme, made, agent_id)
    again = StringIO()
    call_command("renew_secrets", stdout=again)
    assert again.getvalue() == "0 renewed, 7 were under SECRET_KEY.\n"


def test_what_is_under_no_known_key_stays_and_is_told(acme: Any, settings: Any) -> None:
    made, agent_id = furnish(acme)
    former = settings.SECRET_KEY
    settings.SECRET_KEY = "another" * 9

    with pytest.raises(CommandError, match="7 are under a key"):
        call_command("renew_secrets", stdout=StringIO())

    settings.SECRET_KEY = former
    expect_all_readable(acme, made, agent_id)


def test_whatever_looks_encrypted_is_renewed(acme: Any) -> None:
    """A new column with secrets in it has to be renewed, too: no table has a text of Fernet's form
    that the command does not count."""
    furnish(acme)
    renewal = StringIO()
    call_command("renew_secrets", stdout=renewal)
    counted = int(renewal.getvalue().split("renewed, ")[1].split()[0])

    token = Fernet(Fernet.generate_key()).encrypt(b"x").decode()[:5]
    found = 0
    for schema, labels in (
        ("public", ["mfa", "users", "upstreams", "registry", "stripe", "workspaces"]),
        (acme.tenant.schema_name, ["keys", "audit", "webhooks", "definitions", "conversations"]),
    ):
        for label in labels:
            for model in apps.get_app_config(label).get_models():
                with connection.cursor() as cursor:
                    cursor.execute(
                        "SELECT coalesce(sum(regexp_count(rows::text, %s)), 0)"
                        f' FROM "{schema}"."{model._meta.db_table}" AS rows',
                        [rf"\m{token}"],
                    )
                    found += cursor.fetchone()[0]
    assert found == counted == 7
