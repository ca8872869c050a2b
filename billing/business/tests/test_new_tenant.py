"""An operator makes a tenant: its schema, its owner's mail, its first credit."""

import re
from typing import Any
from uuid import uuid4

import pytest
from django.test import Client

from billing.business.models import CreditChange
from billing.dashboard.tests.builders import USD, text
from billing.ledger.services import credit_account
from tenants.members.models import Invitation
from tenants.operators.models import OperatorAction
from tenants.registry.models import Plan, Tenant
from tenants.registry.schemas import tenant_schema
from tenants.users.tests.builders import operator_browser, staff_browser

PATH = "/admin/tenants/new/"


def form(**fields: str) -> dict[str, str]:
    mark = uuid4().hex[:10]
    return {
        "name": f"Zoë & Sons {mark}",
        "slug": "",
        "email": f"zoe@{mark}.test",
        "plan": "",
        "amount": "",
        "reason": "Signed on Monday",
        **fields,
    }


def test_a_tenant_is_made_with_schema_owner_plan_and_credit(
    acme: Any, mailoutbox: list[Any]
) -> None:
    plan = Plan.objects.get(slug="trial")
    asked = form(plan=str(plan.pk), amount="12.5")
    answer = operator_browser().post(PATH, asked, follow=True)

    tenant = Tenant.objects.get(name=asked["name"])
    assert tenant.slug == asked["name"].lower().replace("ë", "e").replace(" & ", "-").replace(
        " ", "-"
    )
    assert answer.redirect_chain[-1][0] == f"/admin/tenants/{tenant.code}/"
    assert tenant.plan == plan
    with tenant_schema(tenant.code):
        assert credit_account().balance_nusd == 12 * USD + USD // 2
    assert Invitation.objects.get(tenant=tenant).role == "owner"
    assert mailoutbox[-1].to == [asked["email"]]
    link = re.search(r"/invitations/[^\s]+/", mailoutbox[-1].body)
    assert link is not None
    assert asked["name"].split("&")[0] in text(Client().get(link[0], follow=True))
    made = OperatorAction.objects.get(action="tenant.created", subject=tenant.slug)
    assert (made.reason, made.detail) == ("Signed on Monday", {"owner": asked["email"]})


def test_the_form_sent_twice_makes_one_tenant(acme: Any) -> None:
    client, asked = operator_browser(), form(amount="5")
    client.post(PATH, asked)
    again = client.post(PATH, asked)

    assert "Another workspace has, or had, this address." in text(again)
    tenant = Tenant.objects.get(name=asked["name"])
    assert CreditChange.objects.filter(tenant=tenant).count() == 1
    assert OperatorAction.objects.filter(action="tenant.created", subject=tenant.slug).count() == 1


@pytest.mark.parametrize(
    ("field", "value", "told"),
    [
        ("name", "", "This field is required"),
        ("slug", "Not a slug", "Small letters and digits"),
        ("email", "nobody", "Enter a valid email address"),
        ("amount", "-5", "greater than or equal to 0"),
        ("amount", "NaN", "Enter a number"),
        ("plan", "999999", "Select a valid choice"),
        ("reason", " ", "Say why."),
    ],
)
def test_what_is_wrong_is_told_beside_its_field_and_nothing_is_made(
    acme: Any, field: str, value: str, told: str
) -> None:
    before = Tenant.objects.count()
    assert told in text(operator_browser().post(PATH, form(**{field: value})))
    assert Tenant.objects.count() == before


def test_much_credit_waits_for_another_operator(acme: Any, settings: Any) -> None:
    settings.CREDIT_ALONE_NUSD = USD
    asked = form(amount="50")
    page = text(operator_browser().post(PATH, asked, follow=True))
    assert "waits for another operator" in page
    tenant = Tenant.objects.get(name=asked["name"])
    with tenant_schema(tenant.code):
        assert credit_account().balance_nusd == 0


def test_who_may_give_no_credit_makes_tenants_without(acme: Any) -> None:
    client = staff_browser("add_tenant", "view_tenant")
    assert "First credit" not in text(client.get(PATH))
    asked = form(amount="50")
    client.post(PATH, asked)
    tenant = Tenant.objects.get(name=asked["name"])
    assert not CreditChange.objects.filter(tenant=tenant).exists()
    assert staff_browser("view_tenant").get(PATH).status_code == 403
