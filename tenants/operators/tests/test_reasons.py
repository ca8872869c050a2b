"""Every change in the admin has a reason, and is in the operators' trail."""

from typing import Any

import pytest
from django.test import Client

from tenants.operators.models import OperatorAction
from tenants.registry.models import Domain, Plan
from tenants.users.models import User
from tenants.users.tests.builders import operator_browser, signed_in_with_app

PASSWORD = "a-longer-passphrase"


@pytest.fixture
def operator(_database: None) -> Client:
    return operator_browser()


def latest() -> OperatorAction:
    return OperatorAction.objects.order_by("-id")[0]


def domain(tenant: Any, operator: Client, **fields: Any) -> Any:
    asked = {"domain": f"ai.{tenant.slug}.test", "tenant": tenant.pk, **fields}
    return operator.post("/admin/registry/domain/add/", asked)


@pytest.mark.parametrize("reason", [None, "", "   ", "x" * 201])
def test_nothing_is_added_without_a_reason(acme: Any, operator: Client, reason: str | None) -> None:
    answer = domain(acme.tenant, operator, **({} if reason is None else {"reason": reason}))

    assert "reason" in answer.context["adminform"].form.errors
    assert not Domain.objects.filter(tenant=acme.tenant).exists()


def test_what_is_added_stands_in_the_trail_with_who_why_and_from_where(
    acme: Any, operator: Client
) -> None:
    assert domain(acme.tenant, operator, reason="They asked for it").status_code == 302

    action = latest()
    assert (action.action, action.subject) == ("domain.added", f"ai.{acme.tenant.slug}.test")
    assert (action.reason, action.tenant_code) == ("They asked for it", acme.code)
    assert action.actor.endswith("@ops.test") or "@" in action.actor
    assert action.ip == "127.0.0.1"


def test_a_change_is_kept_with_before_and_after(acme: Any, operator: Client) -> None:
    plan = Plan.objects.create(slug=f"p-{acme.code}", name="Small", requests_per_minute=10)
    operator.post(
        f"/admin/registry/plan/{plan.pk}/change/",
        {"slug": plan.slug, "name": "Small", "requests_per_minute": 20, "reason": "Too small"},
    )

    assert latest().detail == {"requests_per_minute": [10, 20]}
    page = operator.get(f"/admin/operators/operatoraction/{latest().pk}/change/")
    assert "10 → 20" in page.content.decode()


def test_deleting_asks_why_and_does_nothing_before(acme: Any, operator: Client) -> None:
    domain(acme.tenant, operator, reason="They asked for it")
    row = Domain.objects.get(tenant=acme.tenant)
    path = f"/admin/registry/domain/{row.pk}/delete/"

    assert 'name="reason"' in operator.get(path).content.decode()
    page = operator.post(path, {"post": "yes"}).content.decode()
    assert "Say why." in page
    assert Domain.objects.filter(pk=row.pk).exists()

    assert operator.post(path, {"post": "yes", "reason": "Sold"}).status_code == 302
    assert not Domain.objects.filter(pk=row.pk).exists()
    assert (latest().action, latest().reason) == ("domain.deleted", "Sold")


def test_several_at_once_are_not_deleted(acme: Any, operator: Client) -> None:
    domain(acme.tenant, operator, reason="They asked for it")
    row = Domain.objects.get(tenant=acme.tenant)
    operator.post(
        "/admin/registry/domain/",
        {"action": "delete_selected", "_selected_action": [row.pk], "post": "yes"},
    )
    assert Domain.objects.filter(pk=row.pk).exists()


def test_a_password_that_was_set_is_told_and_not_shown(acme: Any, operator: Client) -> None:
    fields = {"usable_password": "true", "password1": PASSWORD, "password2": PASSWORD}
    path = f"/admin/users/user/{acme.owner.pk}/password/"

    assert operator.post(path, fields).status_code == 200
    acme.owner.refresh_from_db()
    assert not acme.owner.check_password(PASSWORD)

    assert operator.post(path, {**fields, "reason": "Locked out"}).status_code == 302
    assert (latest().action, latest().reason) == ("user.password_set", "Locked out")
    assert PASSWORD not in str(latest().detail)


def test_the_trail_is_read_and_never_changed(acme: Any, operator: Client) -> None:
    domain(acme.tenant, operator, reason="<b>They</b> asked")
    path = f"/admin/operators/operatoraction/{latest().pk}"

    assert "&lt;b&gt;They&lt;/b&gt; asked" in operator.get(f"{path}/change/").content.decode()
    assert operator.post(f"{path}/change/", {"reason": "x"}).status_code == 403
    assert operator.post(f"{path}/delete/", {"post": "yes"}).status_code == 403
    assert operator.get("/admin/operators/operatoraction/?q=asked").status_code == 200


def test_who_only_looks_sees_no_field_for_a_reason(acme: Any) -> None:
    from django.contrib.auth.models import Group

    from tenants.users.staff import sync_roles

    sync_roles()
    acme.owner.is_staff = True
    acme.owner.save()
    acme.owner.groups.add(Group.objects.get(name="Finance"))
    client = signed_in_with_app(User.objects.get(pk=acme.owner.pk))
    page = client.get(f"/admin/registry/plan/{Plan.objects.all()[0].pk}/change/")
    assert page.status_code == 200
    assert 'name="reason"' not in page.content.decode()
