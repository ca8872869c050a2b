"""Who gets through the door of a workspace's pages."""

from typing import Any
from urllib.parse import urlencode

import pytest
from django.http import HttpRequest, HttpResponse
from django.test import Client
from django.urls import path as url_path

from agentflare.urls import urlpatterns as real_urls
from tenants.members.access import Workspace, workspace_page
from tenants.members.permissions import Permission, is_granted, roles_with
from tenants.members.tests.builders import signed_in
from tenants.users.models import Membership, Role, User
from tenants.users.services import add_member


@workspace_page(Permission.MANAGE_BILLING)
def purse(request: HttpRequest, workspace: Workspace) -> HttpResponse:
    return HttpResponse(f"the purse of {workspace.tenant.name}")


urlpatterns = [url_path("t/<slug:slug>/purse/", purse), *real_urls]
handler404 = "agentflare.pages.handler404"


@pytest.fixture(autouse=True)
def _urls(settings: Any) -> None:
    settings.ROOT_URLCONF = __name__


def as_member(cast: Any, role: Role) -> Client:
    add_member(tenant=cast.tenant, email=f"{role}@{cast.tenant.slug}.test", role=role)
    client = Client()
    client.force_login(User.objects.get(email=f"{role}@{cast.tenant.slug}.test"))
    return client


@pytest.mark.parametrize("role", [Role.ADMIN, Role.BILLING])
def test_a_member_with_the_right_comes_in(acme: Any, role: Role) -> None:
    answer = as_member(acme, role).get(f"/t/{acme.tenant.slug}/purse/")

    assert (answer.status_code, answer.content) == (200, b"the purse of Acme")


@pytest.mark.parametrize("role", [Role.DEVELOPER, Role.VIEWER])
def test_a_member_without_it_is_told_whom_to_ask(acme: Any, role: Role) -> None:
    answer = as_member(acme, role).get(f"/t/{acme.tenant.slug}/purse/")

    page = answer.content.decode()
    assert answer.status_code == 403
    assert acme.owner.email in page
    assert "the purse of" not in page


def test_for_others_there_is_no_such_workspace(acme: Any, globex: Any) -> None:
    client = as_member(globex, Role.ADMIN)

    theirs = client.get(f"/t/{acme.tenant.slug}/purse/")
    nobodys = client.get("/t/no-such-workspace/purse/")

    assert theirs.status_code == nobodys.status_code == 404
    assert "Acme" not in theirs.content.decode()


def test_who_is_not_signed_in_is_asked_to(acme: Any) -> None:
    answer = Client().get(f"/t/{acme.tenant.slug}/purse/")

    assert answer.status_code == 302
    assert answer["Location"].startswith("/accounts/login/?next=")


def test_after_a_form_one_comes_back_to_the_page_that_it_was_on(acme: Any) -> None:
    path, here = f"/t/{acme.tenant.slug}/keys/x/revoke/", f"/t/{acme.tenant.slug}/keys/x/?a=1"

    came = Client().post(path, headers={"Referer": f"http://testserver{here}"})
    elsewhere = Client().post(path, headers={"Referer": "https://evil.example/t/"})

    assert came["Location"] == f"/accounts/login/?{urlencode({'next': here}, safe='/')}"
    assert elsewhere["Location"] == f"/accounts/login/?next=/t/{acme.tenant.slug}/"


def test_a_part_of_a_page_is_not_replaced_by_the_page_of_sign_in(acme: Any) -> None:
    answer = Client().get(
        f"/t/{acme.tenant.slug}/usage/",
        headers={
            "HX-Request": "true",
            "HX-Current-URL": f"http://testserver/t/{acme.tenant.slug}/models/",
        },
    )

    assert (answer.status_code, answer.content) == (200, b"")
    assert answer["HX-Redirect"] == f"/accounts/login/?next=/t/{acme.tenant.slug}/models/"


def test_an_address_that_takes_a_form_alone_says_so(acme: Any) -> None:
    for client in (Client(), as_member(acme, Role.ADMIN)):
        answer = client.get(f"/t/{acme.tenant.slug}/team/invite/")

        assert (answer.status_code, answer["Allow"]) == (405, "POST")
        assert f'href="/t/{acme.tenant.slug}/"' in answer.content.decode()


def test_no_browser_keeps_a_page_of_who_is_signed_in(acme: Any) -> None:
    client = signed_in(acme.owner, just_now=True)

    secret = client.get("/accounts/2fa/totp/activate/")

    assert secret.status_code == 200
    for answer in (secret, client.get(f"/t/{acme.tenant.slug}/"), client.get("/nowhere/")):
        assert "no-store" in answer["Cache-Control"]
    assert "Cache-Control" not in Client().get("/docs/api").headers


def test_a_right_ends_with_the_membership(acme: Any) -> None:
    client = as_member(acme, Role.BILLING)
    Membership.objects.filter(tenant=acme.tenant, role=Role.BILLING).delete()

    assert client.get(f"/t/{acme.tenant.slug}/purse/").status_code == 404


def test_owners_may_do_all_and_nobody_else_may_own() -> None:
    assert all(is_granted(Role.OWNER, permission) for permission in Permission)
    assert roles_with(Permission.OWN) == [Role.OWNER]
    assert all(is_granted(role, Permission.VIEW) for role in Role)
    assert not is_granted("stranger", Permission.VIEW)
