"""A tenant's page for operators: what it shows, what can be done there, and by whom."""

from typing import Any

import pytest
from django.test import Client

from agentflare.errors import TenantSuspendedError
from billing.business.models import CreditChange
from billing.dashboard.tests.builders import USD, call, settle, text
from billing.ledger.services import credit_account
from tenants.audit.models import AuditEvent
from tenants.keys.lookup import forget_all, resolve_key
from tenants.registry.models import Tenant
from tenants.registry.schemas import tenant_schema
from tenants.users.tests.builders import operator_browser, staff_browser


def at(cast: Any, path: str = "") -> str:
    return f"/admin/tenants/{cast.code}/{path}"


def post(client: Client, cast: Any, path: str, **data: str) -> str:
    answer = client.post(at(cast, path), data, follow=True)
    assert answer.status_code == 200
    return text(answer)


def balance(cast: Any) -> int:
    with tenant_schema(cast.code):
        return int(credit_account().balance_nusd)


def test_everything_of_one_tenant_is_on_it_and_nothing_of_another(acme: Any, globex: Any) -> None:
    call(acme, 2 * USD, ai_model="model-of-acme")
    call(globex, 1, ai_model="model-of-globex")
    settle(acme)
    settle(globex)
    page = text(operator_browser().get(at(acme)))

    assert "model-of-acme" in page
    assert acme.owner.email in page
    assert acme.key[:10] in page
    assert acme.key not in page
    assert "$23.00" in page
    assert "model-of-globex" not in page
    assert globex.owner.email not in page


@pytest.mark.parametrize("path", ["", "suspend/", "resume/", "credit/"])
def test_staff_without_the_right_may_not(acme: Any, path: str) -> None:
    for client in (staff_browser(), staff_browser("view_tenantday")):
        answer = client.post(at(acme, path), {"reason": "x", "amount": "5"})
        assert answer.status_code == 403
    assert balance(acme) == 25 * USD
    assert not Tenant.objects.get(pk=acme.tenant.pk).is_suspended


def test_who_may_only_look_is_offered_nothing_to_do(acme: Any) -> None:
    page = text(staff_browser("view_tenant").get(at(acme)))
    assert "Give or take credit" not in page
    assert "Suspend" not in page


def test_a_member_who_is_no_operator_is_sent_to_sign_in(acme: Any) -> None:
    client = Client()
    client.force_login(acme.owner)
    assert client.get(at(acme)).status_code == 302
    assert client.post(at(acme, "credit/"), {"amount": "5", "reason": "x"}).status_code == 302
    assert balance(acme) == 25 * USD


def test_a_tenant_is_suspended_with_a_reason_and_served_again(acme: Any) -> None:
    client = operator_browser()
    assert "This field is required" in post(client, acme, "suspend/", reason=" ")
    page = post(client, acme, "suspend/", reason="Your card was stolen.")
    assert "suspended: Your card was stolen." in page
    forget_all()
    with pytest.raises(TenantSuspendedError, match="Your card was stolen"):
        resolve_key(acme.key)

    assert "is served again" in post(client, acme, "resume/")
    assert resolve_key(acme.key)
    with tenant_schema(acme.code):
        assert AuditEvent.objects.filter(action="tenant.suspended").exists()


def test_credit_is_given_and_taken(acme: Any) -> None:
    client = operator_browser()
    post(client, acme, "credit/", amount="2.5", reason="an apology")
    assert balance(acme) == 27 * USD + USD // 2
    page = post(client, acme, "credit/", amount="-2.500000001", reason="a mistake")
    assert balance(acme) == 25 * USD - 1
    assert "a mistake" in page
    for amount in ("", "x", "0", "1e99", "NaN", "1.0000000001"):
        post(client, acme, "credit/", amount=amount, reason="x")
    assert "No more can be taken" in post(client, acme, "credit/", amount="-99", reason="x")
    assert balance(acme) == 25 * USD - 1


def test_much_credit_waits_for_a_second_operator(acme: Any, settings: Any) -> None:
    settings.CREDIT_ALONE_NUSD = USD
    ann, bob = operator_browser(), operator_browser()
    assert "waits for another operator" in post(ann, acme, "credit/", amount="50", reason="deal")
    change = CreditChange.objects.get(tenant=acme.tenant)
    path = f"credit/{change.pk}/"
    assert "Somebody else" in post(ann, acme, path, decision="agree")
    assert balance(acme) == 25 * USD
    assert "It is booked." in post(bob, acme, path, decision="agree")
    assert "booked already" in post(bob, acme, path, decision="agree")
    assert balance(acme) == 75 * USD


def test_a_change_is_not_decided_by_way_of_another_tenant(acme: Any, globex: Any) -> None:
    change = CreditChange.objects.create(
        tenant=acme.tenant, amount_nusd=USD, reason="x", asked_by="ann@ops.test"
    )
    path = f"credit/{change.pk}/"
    answer = operator_browser().post(at(globex, path), {"decision": "agree"})
    assert answer.status_code == 404
    assert balance(acme) == 25 * USD


def test_what_people_named_is_escaped(acme: Any) -> None:
    acme.tenant.name = "<img src=x onerror=alert(1)>"
    acme.tenant.save()
    CreditChange.objects.create(
        tenant=acme.tenant, amount_nusd=USD, reason="<script>", asked_by="<b>"
    )
    page = text(operator_browser().get(at(acme)))
    assert "<img src=x" not in page
    assert "<script>" not in page.replace("<script>\n", "")


def test_an_unknown_tenant_is_not_there(acme: Any) -> None:
    assert operator_browser().get("/admin/tenants/zzzzzz/").status_code == 404
