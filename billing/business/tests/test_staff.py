"""Staff roles against every page of the admin: what is not theirs is closed to them."""

from typing import Any
from uuid import uuid4

import pytest
from allauth.mfa.models import Authenticator
from django.contrib import admin
from django.contrib.auth.models import Group
from django.core.management import call_command
from django.test import Client
from django.urls import get_resolver, reverse

from billing.business.models import CreditChange
from tenants.announcements.models import Announcement
from tenants.users.models import Membership, User
from tenants.users.staff import ROLES, sync_roles
from tenants.users.tests.builders import signed_in_with_app

# Role → what of the admin's lists it sees, and which of them it may change or add to.
SEES = {
    "Support": {
        *(
            "tenant",
            "plan",
            "domain",
            "aimodel",
            "route",
            "priceversion",
            "markup",
            "user",
            "upstream",
        ),
        *("announcement", "signin"),
    },
    "Finance": {
        *("tenant", "plan", "domain", "aimodel", "route", "priceversion", "markup"),
        *("stripeevent", "upstreamday"),
    },
}
CHANGES = {"Support": {"tenant", "announcement"}, "Finance": {"upstreamday"}}
ADDS = {"Support": {"announcement"}, "Finance": set()}
# Pages of our own → who sees them.
PAGES = {
    "admin_close": {"Finance"},
    "admin_maintenance": set(),
    "admin_upstreams": {"Support"},
    "admin_backlog": {"Finance"},
    "admin_disputes": {"Finance"},
    "admin_dead_letters": {"Finance"},
    "admin_comparison": {"Support", "Finance"},
    "admin_prices": {"Support", "Finance"},
    "admin_price_history": {"Support", "Finance"},
    "admin_model_notice": set(),
    "admin_new_tenant": {"Support"},
    "admin_tenant": {"Support", "Finance"},
    "admin_holds": {"Support", "Finance"},
}
# What can be done there → by whom.
POSTS = {
    "admin_suspend": {"Support"},
    "admin_resume": {"Support"},
    "admin_hand_over": {"Finance"},
    "admin_refund": {"Finance"},
    "admin_letters_retry": {"Finance"},
    "admin_letter_give_up": {"Finance"},
    "admin_upstream_switch": set(),
    "admin_upstream_test": set(),
    "admin_compare_now": set(),
    "admin_price_withdraw": set(),
    "admin_difference_dismiss": set(),
    "admin_close_tenant": set(),
    "admin_reopen": set(),
    "admin_export": set(),
    "admin_invite": {"Support"},
    "admin_note": {"Support", "Finance"},
    "admin_visit": {"Support"},
    "admin_leave": {"Support"},
    "admin_credit": {"Finance"},
    "admin_credit_decide": {"Finance"},
}


def staff(role: str) -> Client:
    email = f"{role.lower()}-{uuid4().hex[:8]}@ops.test"
    call_command("create_operator", email, "--password", "a-longer-passphrase", "--role", role)
    return signed_in_with_app(User.objects.get(email=email))


def lists() -> dict[str, str]:
    return {
        str(model._meta.model_name): reverse(
            f"admin:{model._meta.app_label}_{model._meta.model_name}_changelist"
        )
        for model in admin.site._registry
    }


@pytest.mark.parametrize("role", ROLES)
def test_a_role_sees_its_lists_and_no_others(acme: Any, role: str) -> None:
    client = staff(role)
    seen = {name for name, path in lists().items() if client.get(path).status_code == 200}
    assert seen == SEES[role]
    assert client.get("/admin/").status_code == 200


@pytest.mark.parametrize("role", ROLES)
def test_a_role_adds_and_changes_what_is_its_own(acme: Any, role: str) -> None:
    client = staff(role)
    Announcement.objects.create(text="We move on Sunday")
    for name, path in lists().items():
        answer = client.post(f"{path}add/", {})
        allowed = {200} if name in ADDS[role] else {403, 404}
        assert answer.status_code in allowed, name
    models = {str(model._meta.model_name): model for model in admin.site._registry}
    for name, path in lists().items():
        row = models[name]._default_manager.first()
        if row is None:
            continue
        answer = client.post(f"{path}{row.pk}/change/", {})
        assert (answer.status_code != 403) == (name in CHANGES[role]), (name, answer.status_code)


@pytest.mark.parametrize("role", ROLES)
def test_pages_of_our_own_are_for_those_they_are_for(acme: Any, role: str) -> None:
    client = staff(role)
    change = CreditChange.objects.create(
        tenant=acme.tenant, amount_nusd=1, reason="x", asked_by="ann@ops.test"
    )
    arguments: dict[str, dict[str, Any]] = {
        "admin_close": {},
        "admin_maintenance": {},
        "admin_upstreams": {},
        "admin_backlog": {},
        "admin_disputes": {},
        "admin_hand_over": {},
        "admin_refund": {"code": acme.code, "top_up_id": change.pk},
        "admin_dead_letters": {},
        "admin_letters_retry": {},
        "admin_letter_give_up": {},
        "admin_upstream_switch": {"name": "x"},
        "admin_upstream_test": {"name": "x"},
        "admin_comparison": {},
        "admin_prices": {},
        "admin_price_history": {"name": "bge-m3"},
        "admin_price_withdraw": {"what": "price", "pk": 1},
        "admin_compare_now": {},
        "admin_difference_dismiss": {"difference_id": 1},
        "admin_model_notice": {"name": "bge-m3"},
        "admin_new_tenant": {},
        "admin_holds": {},
        "admin_credit_decide": {"code": acme.code, "change_id": change.pk},
    }
    for name, roles in PAGES.items():
        path = reverse(name, kwargs=arguments.get(name, {"code": acme.code}))
        assert (client.get(path).status_code == 200) == (role in roles), name
    for name, roles in POSTS.items():
        path = reverse(name, kwargs=arguments.get(name, {"code": acme.code}))
        assert (client.post(path, {}).status_code == 302) == (role in roles), name


def test_support_makes_nobody_a_member_and_itself_no_superuser(acme: Any) -> None:
    client = staff("Support")
    me = User.objects.get(pk=client.session["_auth_user_id"])
    path = reverse("admin:registry_tenant_change", args=[acme.tenant.pk])
    client.post(
        path,
        {
            "name": "Acme",
            "slug": acme.tenant.slug,
            "memberships-TOTAL_FORMS": 1,
            "memberships-INITIAL_FORMS": 0,
            "memberships-0-user": me.pk,
            "memberships-0-tenant": acme.tenant.pk,
            "memberships-0-role": "owner",
        },
    )
    client.post(reverse("admin:users_user_change", args=[me.pk]), {"is_superuser": "on"})

    me.refresh_from_db()
    assert not me.is_superuser
    assert not Membership.objects.filter(user=me).exists()


def test_an_upgrade_sets_a_roles_rights_anew(acme: Any) -> None:
    Group.objects.get(name="Support").permissions.clear()
    sync_roles()
    rights = Group.objects.get(name="Support").permissions.all()
    assert len(rights) == len(ROLES["Support"])


def test_no_page_of_our_own_is_left_out_here() -> None:
    ours = {
        name
        for name in get_resolver().reverse_dict
        if isinstance(name, str) and name.startswith("admin_")
    }
    assert ours == {*PAGES, *POSTS}


def test_without_a_second_factor_the_admin_stays_shut(acme: Any, settings: Any) -> None:
    settings.OPERATORS_NEED_SECOND_FACTOR = True
    user = User.objects.create_superuser(f"op-{uuid4().hex}@ops.test")
    client = Client()
    client.force_login(user)
    for path in ("/admin/", f"/admin/tenants/{acme.code}/", "/admin/close/"):
        answer = client.get(path)
        assert answer.headers["Location"] == "/accounts/2fa/", path
    Authenticator.objects.create(user=user, type=Authenticator.Type.TOTP, data={})
    assert client.get("/admin/").status_code == 200
