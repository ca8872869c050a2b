"""Signing in and out, with a browser's requests."""

import re
from typing import Any

import pytest
from django.test import Client

from tenants.users.models import User
from tenants.users.services import create_operator

PAGE = "/accounts/login/"
NEW_PASSWORD = "a-longer-passphrase"


def sign_in(client: Client, email: str, password: str, **options: Any) -> Any:
    return client.post(PAGE, {"login": email, "password": password}, **options)


def is_signed_in(client: Client) -> bool:
    return client.get("/").headers.get("Location", "").startswith("/t/")


def test_a_member_signs_in_and_lands_in_the_workspace(acme: Any, client: Client) -> None:
    response = sign_in(client, acme.owner.email, acme.password, follow=True)

    assert response.redirect_chain[-1][0] == f"/t/{acme.tenant.slug}/"
    assert acme.owner.email in response.content.decode()


def test_the_case_of_the_address_does_not_matter(acme: Any, client: Client) -> None:
    sign_in(client, acme.owner.email.upper(), acme.password)

    assert is_signed_in(client)


def test_the_page_that_was_asked_for_comes_after_signing_in(acme: Any, client: Client) -> None:
    asked_for = "/accounts/password/change/"
    sent_to = client.get(asked_for).headers["Location"]

    page = client.get(sent_to).content.decode()
    assert re.search(rf'name="next"[^>]*value="{asked_for}"', page)
    fields = {"login": acme.owner.email, "password": acme.password, "next": asked_for}
    response = client.post(PAGE, fields)

    assert response.headers["Location"] == asked_for


def test_signing_in_never_leads_to_another_site(acme: Any, client: Client) -> None:
    response = client.post(
        PAGE,
        {"login": acme.owner.email, "password": acme.password, "next": "https://evil.example/"},
    )

    assert response.headers["Location"] == "/"


def test_a_wrong_password_and_an_unknown_address_are_refused_alike(
    acme: Any, client: Client
) -> None:
    wrong = sign_in(client, acme.owner.email, "not-the-password")
    unknown = sign_in(client, f"nobody@{acme.tenant.slug}.test", "not-the-password")

    message = "The e-mail address or the password is not correct."
    assert message in wrong.content.decode()
    assert message in unknown.content.decode()
    assert not is_signed_in(client)


@pytest.mark.parametrize("page", [PAGE, "/admin/login/"])
def test_after_five_failures_even_the_right_password_waits(
    acme: Any, client: Client, page: str
) -> None:
    email = acme.owner.email
    password = "abcdefgh1234"
    acme.owner.is_staff = True
    acme.owner.set_password(password)
    acme.owner.save()
    # An address of its own, so that no other test's failures count here.
    address = {"REMOTE_ADDR": f"10.1.{acme.owner.pk // 250 % 250}.{acme.owner.pk % 250}"}
    for _ in range(5):
        fields = {"login": email, "username": email, "password": "wrong"}
        client.post(page, fields, **address)

    for door in (PAGE, "/admin/login/"):
        fields = {"login": email, "username": email, "password": password}
        response = client.post(door, fields, **address)
        assert "Too many failed attempts" in response.content.decode()
    assert not is_signed_in(client)


def test_a_deactivated_person_is_refused_and_signed_out_everywhere(
    acme: Any, client: Client
) -> None:
    client.force_login(acme.owner)
    User.objects.filter(pk=acme.owner.pk).update(is_active=False)
    assert not is_signed_in(client)

    response = sign_in(Client(), acme.owner.email, acme.password, follow=True)

    assert "This account is closed" in response.content.decode()


def test_signing_out_takes_a_click_and_not_just_a_link(acme: Any, client: Client) -> None:
    client.force_login(acme.owner)

    client.get("/accounts/logout/")
    assert is_signed_in(client)

    response = client.post("/accounts/logout/")
    assert response.headers["Location"] == PAGE
    assert not is_signed_in(client)


def test_sign_up_is_closed_and_says_what_to_do(client: Client) -> None:
    before = User.objects.count()

    page = client.get("/accounts/signup/").content.decode()
    fields = {"email": "new@x.test", "password1": NEW_PASSWORD}
    client.post("/accounts/signup/", fields)

    assert "Sign-up is closed" in page
    assert "manage.py create_tenant" in page
    assert User.objects.count() == before


def test_a_new_password_ends_all_other_sessions(acme: Any, client: Client) -> None:
    elsewhere = Client()
    for browser in (client, elsewhere):
        sign_in(browser, acme.owner.email, acme.password)

    response = client.post(
        "/accounts/password/change/",
        {"oldpassword": acme.password, "password1": NEW_PASSWORD, "password2": NEW_PASSWORD},
    )

    assert response.headers["Location"] == "/accounts/password/change/"
    assert is_signed_in(client)
    assert not is_signed_in(elsewhere)
    sign_in(elsewhere, acme.owner.email, NEW_PASSWORD)
    assert is_signed_in(elsewhere)


def test_a_weak_password_is_refused_beside_its_field(acme: Any, client: Client) -> None:
    client.force_login(acme.owner)

    response = client.post(
        "/accounts/password/change/",
        {"oldpassword": acme.password, "password1": "short", "password2": "short"},
    )

    assert "at least 10 characters" in str(response.context["form"].errors["password1"])
    acme.owner.refresh_from_db()
    assert acme.owner.check_password(acme.password)


def test_a_form_without_its_cookie_changes_nothing_and_says_why(acme: Any) -> None:
    client = Client(enforce_csrf_checks=True)

    response = sign_in(client, acme.owner.email, acme.password)

    assert response.status_code == 403
    assert "Send the form again" in response.content.decode()
    assert not is_signed_in(client)


def test_an_operator_enters_the_admin_with_e_mail_address_and_password(
    acme: Any, client: Client
) -> None:
    email = f"op@{acme.tenant.slug}.test"
    create_operator(email=email, password="abcdefgh1234")

    response = client.post(
        "/admin/login/?next=/admin/", {"username": email, "password": "abcdefgh1234"}
    )

    assert response.headers["Location"] == "/admin/"
    assert client.get("/admin/").headers["Location"] == "/accounts/2fa/", "first an app"


def test_a_tenants_owner_does_not_enter_the_admin(acme: Any, client: Client) -> None:
    response = client.post(
        "/admin/login/", {"username": acme.owner.email, "password": acme.password}
    )

    assert "No operator has this e-mail address and password." in response.content.decode()
    client.force_login(acme.owner)
    assert client.get("/admin/").status_code == 302
