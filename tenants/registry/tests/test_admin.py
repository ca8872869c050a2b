"""Tenants and domains in the admin."""

from io import StringIO
from typing import Any

import pytest
from django.core.management import call_command
from django.core.management.base import CommandError
from django.test import Client

from agentflare.redis_store import get_redis
from tenants.audit.models import AuditEvent
from tenants.limits import Limits
from tenants.registry import services
from tenants.registry.models import Domain, Plan, Tenant
from tenants.registry.schemas import tenant_schema
from tenants.registry.status import FIELDS, parse, status_key
from tenants.users.tests.builders import operator_browser

LIST = "/admin/registry/tenant/"


@pytest.fixture
def operator(_database: None) -> Client:
    return operator_browser()


def change(client: Client, tenant: Tenant, **fields: Any) -> Any:
    return client.post(
        f"{LIST}{tenant.pk}/change/",
        {
            "name": tenant.name,
            "slug": tenant.slug,
            "memberships-TOTAL_FORMS": 0,
            "memberships-INITIAL_FORMS": 0,
            "reason": "They asked",
            **fields,
        },
    )


def test_a_tenant_is_neither_added_nor_deleted_here(acme: Any, operator: Client) -> None:
    assert "manage.py create_tenant" in operator.get(LIST).content.decode()
    assert operator.get(f"{LIST}add/").status_code == 403
    assert operator.post(f"{LIST}{acme.tenant.pk}/delete/", {"post": "yes"}).status_code == 403
    operator.post(LIST, {"action": "delete_selected", "_selected_action": [acme.tenant.pk]})
    assert Tenant.objects.filter(pk=acme.tenant.pk).exists()


def test_what_a_service_owns_cannot_be_sent_along(acme: Any, operator: Client) -> None:
    before = Tenant.objects.get(pk=acme.tenant.pk)

    response = change(
        operator,
        acme.tenant,
        name="Acme Ltd",
        code="zzzzzz",
        schema_name="public",
        suspended_at_0="2026-01-01",
        suspension_reason="because",
        status_version=99,
    )

    assert response.status_code == 302
    after = Tenant.objects.get(pk=acme.tenant.pk)
    assert after.name == "Acme Ltd"
    for field in ("code", "schema_name", "suspended_at", "suspension_reason", "status_version"):
        assert getattr(after, field) == getattr(before, field)


@pytest.mark.parametrize("slug", ["Acme", "acme_1", "-acme", "acme-"])
def test_a_slug_that_is_no_address_is_refused_beside_its_field(
    acme: Any, operator: Client, slug: str
) -> None:
    response = change(operator, acme.tenant, slug=slug)

    assert "slug" in response.context["adminform"].form.errors
    assert Tenant.objects.get(pk=acme.tenant.pk).slug == acme.tenant.slug


def test_a_domain_is_kept_in_small_letters(acme: Any, operator: Client) -> None:
    domain = f"ai.{acme.tenant.slug}.test"
    fields = {"domain": domain.upper(), "tenant": acme.tenant.pk, "reason": "They asked"}

    response = operator.post("/admin/registry/domain/add/", fields)

    assert response.status_code == 302
    assert Domain.objects.get(domain=domain).tenant == acme.tenant


@pytest.mark.parametrize("domain", ["https://x.test", "x.test/a", "x.test:80", "x", "a b.test"])
def test_a_domain_that_is_no_host_name_is_refused_beside_its_field(
    acme: Any, operator: Client, domain: str
) -> None:
    fields = {"domain": domain, "tenant": acme.tenant.pk, "reason": "They asked"}

    response = operator.post("/admin/registry/domain/add/", fields)

    assert "domain" in response.context["adminform"].form.errors
    assert not acme.tenant.domains.exists()


def test_every_list_opens_and_can_be_searched(operator: Client) -> None:
    for page in (
        "registry/tenant",
        "registry/domain",
        "users/user",
        "catalog/aimodel",
        "prices/priceversion",
    ):
        response = operator.get(f"/admin/{page}/", {"q": "acme"})
        assert response.status_code == 200, page
        assert f'href="/admin/{page}/"' in response.content.decode()


def test_the_admin_has_a_policy_of_its_own(operator: Client) -> None:
    policy = operator.get("/admin/").headers["Content-Security-Policy"]

    assert policy.startswith("default-src 'self'; ")
    assert "script-src 'self' 'unsafe-inline' 'unsafe-eval'" in policy


# --- Limits ------------------------------------------------------------------------


def limits_in_redis(tenant: Tenant) -> Any:
    standing = parse(get_redis().hmget(status_key(tenant.code), FIELDS))
    return standing and (standing.limits, standing.shrink_to_fit)


def test_limits_of_a_tenant_are_in_force_at_once_and_in_its_trail(
    acme: Any, operator: Client
) -> None:
    plan = Plan.objects.get(slug="trial")

    change(
        operator,
        acme.tenant,
        plan=plan.pk,
        requests_per_minute=7,
        tokens_per_minute="",
        concurrent_calls="",
        shrink_to_fit="on",
    )

    assert limits_in_redis(acme.tenant) == (
        Limits(7, plan.tokens_per_minute, plan.concurrent_calls),
        True,
    )
    with tenant_schema(acme.code):
        event = AuditEvent.objects.get(action="tenant.limits_changed")
    assert event.detail["requests_per_minute"] == 7
    assert event.detail["plan"] == "trial"


def test_a_negative_limit_is_refused_beside_its_field(acme: Any, operator: Client) -> None:
    response = change(operator, acme.tenant, requests_per_minute=-1)

    assert response.status_code == 200
    assert "greater than or equal to 0" in response.content.decode()
    acme.tenant.refresh_from_db()
    assert acme.tenant.requests_per_minute is None


def test_a_changed_plan_holds_for_its_tenants_at_once(acme: Any, operator: Client) -> None:
    plan = Plan.objects.create(slug=f"plan-{acme.code}", name="Own", requests_per_minute=5)
    services.change_limits(
        tenant=acme.tenant, plan=plan, limits=Limits(), shrink_to_fit=False, actor="test"
    )
    assert limits_in_redis(acme.tenant)[0] == Limits(5)

    operator.post(
        f"/admin/registry/plan/{plan.pk}/change/",
        {
            "slug": plan.slug,
            "name": "Own",
            "requests_per_minute": 9,
            "concurrent_calls": 2,
            "reason": "More",
        },
    )

    assert limits_in_redis(acme.tenant)[0] == Limits(9, None, 2)


def test_limits_from_the_command_line(acme: Any) -> None:
    slug = acme.tenant.slug

    def printed(*options: str) -> str:
        out = StringIO()
        call_command("set_limits", slug, *options, stdout=out)
        return out.getvalue()

    assert "requests_per_minute  60000" in printed()
    assert "requests_per_minute  5 (its own)" in printed("--requests-per-minute", "5")
    told = printed("--plan", "trial", "--requests-per-minute", "none", "--shrink-to-fit")
    assert "plan                 Trial" in told
    assert "requests_per_minute  60\n" in told
    assert "shrink_to_fit        yes" in told
    with pytest.raises(CommandError, match="there is no plan gold; there are"):
        printed("--plan", "gold")
