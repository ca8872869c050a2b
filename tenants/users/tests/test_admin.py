"""People in the admin."""

from typing import Any

import pytest
from django.contrib import admin
from django.test import Client

from tenants.users.models import Membership, User
from tenants.users.tests.builders import operator_browser, signed_in_with_app

PASSWORD = "a-longer-passphrase"


@pytest.fixture
def operator(_database: None) -> Client:
    return operator_browser()


def memberships(*rows: dict[str, Any]) -> dict[str, Any]:
    """The inline's part of a form."""
    fields: dict[str, Any] = {
        "reason": "They asked",
        "memberships-TOTAL_FORMS": len(rows),
        "memberships-INITIAL_FORMS": 0,
    }
    for number, row in enumerate(rows):
        fields |= {f"memberships-{number}-{name}": value for name, value in row.items()}
    return fields


def test_a_person_made_here_with_a_membership_can_sign_in_and_sees_the_workspace(
    acme: Any, operator: Client
) -> None:
    response = operator.post(
        "/admin/users/user/add/",
        {
            "email": f"New@{acme.tenant.slug.upper()}.test",
            "name": "New",
            "usable_password": "true",
            "password1": PASSWORD,
            "password2": PASSWORD,
            **memberships({"tenant": acme.tenant.pk, "role": "developer"}),
        },
    )
    assert response.status_code == 302

    email = f"new@{acme.tenant.slug}.test"
    browser = Client()
    response = browser.post("/accounts/login/", {"login": email, "password": PASSWORD}, follow=True)
    assert response.redirect_chain[-1][0] == f"/t/{acme.tenant.slug}/"
    assert Membership.objects.get(user__email=email).role == "developer"


def test_an_address_is_taken_whatever_its_case(acme: Any, operator: Client) -> None:
    response = operator.post(
        "/admin/users/user/add/",
        {
            "email": acme.owner.email.upper(),
            "usable_password": "true",
            "password1": PASSWORD,
            "password2": PASSWORD,
            **memberships(),
        },
    )

    assert "already exists" in str(response.context["adminform"].form.errors["email"])
    assert User.objects.filter(email__iexact=acme.owner.email).count() == 1


def test_the_operator_sets_a_new_password_for_a_person(acme: Any, operator: Client) -> None:
    fields = {
        "usable_password": "true",
        "password1": PASSWORD,
        "password2": PASSWORD,
        "reason": "Locked out",
    }

    response = operator.post(f"/admin/users/user/{acme.owner.pk}/password/", fields)

    assert response.status_code == 302
    acme.owner.refresh_from_db()
    assert acme.owner.check_password(PASSWORD)


def test_the_password_is_never_shown(acme: Any, operator: Client) -> None:
    page = operator.get(f"/admin/users/user/{acme.owner.pk}/change/").content.decode()

    assert acme.owner.email in page
    assert acme.owner.password not in page


def test_a_role_must_be_chosen(acme: Any, operator: Client) -> None:
    page = operator.get(f"/admin/users/user/{acme.owner.pk}/change/").content.decode()
    assert '<option value="" selected>' in page

    response = operator.post(
        "/admin/users/user/add/",
        {
            "email": f"no-role@{acme.tenant.slug}.test",
            "usable_password": "true",
            "password1": PASSWORD,
            "password2": PASSWORD,
            **memberships({"tenant": acme.tenant.pk, "role": ""}),
        },
    )

    assert response.status_code == 200
    assert not User.objects.filter(email=f"no-role@{acme.tenant.slug}.test").exists()


def test_a_member_of_staff_without_rights_sees_no_links(acme: Any) -> None:
    acme.owner.is_staff = True
    acme.owner.save()
    client = signed_in_with_app(acme.owner)

    page = client.get("/admin/").content.decode()

    assert "/admin/registry/tenant/" not in page
    assert client.get("/admin/registry/tenant/").status_code == 403


@pytest.mark.parametrize("label", ["auth.Group", "account.EmailAddress"])
def test_what_nothing_here_uses_is_not_in_the_admin(label: str) -> None:
    assert label not in {model._meta.label for model in admin.site._registry}
