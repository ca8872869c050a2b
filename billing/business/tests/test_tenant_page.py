"""A tenant's page for operators: what it shows, what can be done there, and by whom."""

import re
from typing import Any

import pytest
from django.test import Client

from agentflare.errors import TenantSuspendedError
from billing.business.models import CreditChange
from billing.business.rolling_up import roll_up
from billing.dashboard.tests.builders import USD, call, settle, text
from billing.ledger.services import credit_account
from tenants.audit.models import AuditEvent
from tenants.keys.lookup import forget_all, resolve_key
from tenants.members.models import Invitation
from tenants.operators.models import OperatorAction
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


ACTIONS = (
    *("", "suspend/", "resume/", "credit/", "close/", "reopen/", "export/", "invite/", "note/"),
    *("visit/", "leave/"),
)


@pytest.mark.parametrize("path", ACTIONS)
def test_staff_without_the_right_may_not(acme: Any, path: str) -> None:
    form = {
        "reason": "x",
        "amount": "5",
        "address": acme.tenant.slug,
        "text": "x",
        "email": "x@x.test",
        "role": "owner",
    }
    for client in (staff_browser(), staff_browser("view_tenantday")):
        answer = client.post(at(acme, path), form)
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
    assert "Say why" in post(client, acme, "suspend/", reason=" ")
    page = post(client, acme, "suspend/", reason="Your card was stolen.")
    assert "suspended: Your card was stolen." in page
    forget_all()
    with pytest.raises(TenantSuspendedError, match="Your card was stolen"):
        resolve_key(acme.key)

    assert "Say why" in post(client, acme, "resume/")
    assert "is served again" in post(client, acme, "resume/", reason="It was found.")
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


def test_all_that_operators_do_is_in_their_trail_with_a_reason(acme: Any) -> None:
    client = operator_browser()
    post(client, acme, "suspend/", reason="Stolen card", ends_streams="on")
    post(client, acme, "resume/", reason="Found again")
    post(client, acme, "credit/", amount="2", reason="Sorry")
    post(client, acme, "export/", reason="They asked")
    post(client, acme, "invite/", email=f"x@{acme.tenant.slug}.test", role="admin", reason="Locked")
    post(client, acme, "close/", reason="They left", address=acme.tenant.slug)
    page = post(client, acme, "reopen/", reason="They are back")
    client.post(at(acme, "visit/"), {"reason": "To see"})

    trail = OperatorAction.objects.filter(tenant_code=acme.code).order_by("id")
    assert [(action.action, action.reason) for action in trail] == [
        ("tenant.suspended", "Stolen card"),
        ("tenant.resumed", "Found again"),
        ("credit.asked", "Sorry"),
        ("credit.booked", "Sorry"),
        ("tenant.exported", "They asked"),
        ("tenant.member_invited", "Locked"),
        ("tenant.closed", "They left"),
        ("tenant.reopened", "They are back"),
        ("tenant.visited", "To see"),
    ]
    assert {action.ip for action in trail} == {"127.0.0.1"}
    assert "They left" in page
    with tenant_schema(acme.code):
        told = {event.action: event.detail.get("reason") for event in AuditEvent.objects.all()}
    assert told["operator.closed"] == "They left"
    assert told["operator.reopened"] == "They are back"
    assert told["operator.visited"] == "To see"
    assert told["operator.invited"] == "Locked"
    assert told["tenant.suspended"] == "Stolen card"


@pytest.mark.parametrize("path", [path for path in ACTIONS if path not in ("", "note/", "leave/")])
def test_nothing_is_done_without_a_reason(acme: Any, path: str) -> None:
    before = OperatorAction.objects.count()
    form = {"amount": "5", "address": acme.tenant.slug, "email": "x@x.test", "role": "owner"}
    page = post(operator_browser(), acme, path, **form, reason="  ")
    assert "Reason:" in page
    assert OperatorAction.objects.count() == before


def test_a_workspace_is_closed_by_typing_its_address_and_its_people_are_told_why(
    acme: Any, mailoutbox: list[Any]
) -> None:
    client = operator_browser()
    page = post(client, acme, "close/", reason="Fraud", address="acme")
    assert f"Type its address, {acme.tenant.slug}" in page
    assert not Tenant.objects.get(pk=acme.tenant.pk).closed

    post(client, acme, "close/", reason="The company is gone", address=acme.tenant.slug)
    closed = Tenant.objects.get(pk=acme.tenant.pk).closed
    assert closed is not None
    assert closed.reason == "The company is gone"
    assert "The company is gone" in mailoutbox[-1].body
    assert "closed already" in post(
        client, acme, "close/", reason="Again", address=acme.tenant.slug
    )
    own = Client()
    own.force_login(acme.owner)
    assert "The company is gone" in text(own.get(f"/t/{acme.tenant.slug}/"))


def test_an_operator_invites_whom_nobody_else_can(acme: Any, mailoutbox: list[Any]) -> None:
    client, email = operator_browser(), f"new@{acme.tenant.slug}.test"
    post(client, acme, "invite/", email=email, role="owner", reason="The owner left")
    post(client, acme, "invite/", email=email, role="owner", reason="The mail was lost")

    open_ = Invitation.objects.get(tenant=acme.tenant, email=email, revoked_at=None)
    assert open_.role == "owner"
    first, second = (re.search(r"/invitations/[^\s]+/", mail.body)[0] for mail in mailoutbox[-2:])
    assert "Join" not in text(Client().get(first))
    assert "Acme" in text(Client().get(second, follow=True))
    page = post(client, acme, "invite/", email=acme.owner.email, role="viewer", reason="x")
    assert "is a member already" in page


def test_notes_are_for_operators_alone(acme: Any) -> None:
    client = operator_browser()
    page = post(client, acme, "note/", text="<b>Calls</b> on Mondays\nand Fridays")
    assert "&lt;b&gt;Calls&lt;/b&gt; on Mondays<br>and Fridays" in page
    own = Client()
    own.force_login(acme.owner)
    for path in ("", "audit/", "settings/"):
        assert "Mondays" not in text(own.get(f"/t/{acme.tenant.slug}/{path}"))


def test_usage_of_thirty_days_comes_from_the_shared_sums(acme: Any, globex: Any) -> None:
    call(acme, 2 * USD, ai_model="model-of-acme")
    call(globex, 7 * USD, ai_model="model-of-globex")
    settle(acme)
    settle(globex)
    assert "No calls. Sums are made every minute" in text(operator_browser().get(at(acme)))
    roll_up(acme.code)
    roll_up(globex.code)
    page = text(operator_browser().get(at(acme)))
    assert "1 calls" in page
    assert "$2.00 revenue" in page
    assert "model-of-globex" not in page
