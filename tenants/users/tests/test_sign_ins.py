"""The log of signing in."""

from datetime import timedelta
from typing import Any

from django.test import Client
from django.utils import timezone

from tenants.users.models import SignIn
from tenants.users.tasks import clear_people_task
from tenants.users.tests.builders import operator_browser

PAGE = "/accounts/login/"


def latest() -> SignIn:
    return SignIn.objects.order_by("-id")[0]


def test_who_signs_in_is_noted_with_how_and_from_where(acme: Any) -> None:
    Client().post(
        PAGE,
        {"login": acme.owner.email, "password": acme.password},
        headers={"User-Agent": "Firefox\n142"},
        REMOTE_ADDR="203.0.113.9",
    )
    row = latest()
    assert (row.user, row.outcome, row.method) == (acme.owner, "signed_in", "password")
    assert (row.ip, row.user_agent) == ("203.0.113.9", "Firefox 142")


def test_who_is_not_let_in_is_noted_without_what_they_typed_as_password(acme: Any) -> None:
    Client().post(PAGE, {"login": acme.owner.email.upper(), "password": "guess-it-1"})
    row = latest()
    assert (row.user, row.outcome) == (acme.owner, "failed")
    nobody = f"nobody@{acme.tenant.slug}.test"
    Client().post(PAGE, {"login": nobody, "password": "guess-it-1"})
    row = latest()
    assert (row.user, row.email, row.outcome) == (None, nobody, "failed")
    assert "guess-it-1" not in str(list(SignIn.objects.values()))


def test_signing_in_to_the_admin_is_noted_too(acme: Any) -> None:
    before = SignIn.objects.count()
    Client().post("/admin/login/", {"username": acme.owner.email, "password": "guess-it-1"})
    assert SignIn.objects.count() == before + 1
    assert latest().outcome == "failed"


def test_operators_read_and_search_it(acme: Any) -> None:
    Client().post(PAGE, {"login": acme.owner.email, "password": "guess-it-1"})
    client = operator_browser()
    page = client.get("/admin/users/signin/", {"q": acme.owner.email}).content.decode()
    assert "Not let in" in page
    row = latest()
    assert client.post(f"/admin/users/signin/{row.pk}/delete/", {"post": "yes"}).status_code == 403


def test_old_lines_go(acme: Any) -> None:
    row = SignIn.objects.create(outcome="failed", email="old@x.test")
    SignIn.objects.filter(pk=row.pk).update(created_at=timezone.now() - timedelta(days=91))
    new = SignIn.objects.create(outcome="failed", email="new@x.test")
    clear_people_task()
    assert not SignIn.objects.filter(pk=row.pk).exists()
    assert SignIn.objects.filter(pk=new.pk).exists()
