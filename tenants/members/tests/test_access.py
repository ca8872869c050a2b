"""Who gets through the door of a workspace's pages."""

from typing import Any

import pytest
from django.http import HttpRequest, HttpResponse
from django.test import Client
from django.urls import path

from agentflare.urls import urlpatterns as real_urls
from tenants.members.access import Workspace, workspace_page
from tenants.members.permissions import Permission, is_granted, roles_with
from tenants.users.models import Membership, Role, User
from tenants.users.services import add_member


@workspace_page(Permission.MANAGE_BILLING)
def purse(request: HttpRequest, workspace: Workspace) -> HttpResponse:
    return HttpResponse(f"the purse of {workspace.tenant.name}")


urlpatterns = [path("t/<slug:slug>/purse/", purse), *real_urls]
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


def test_a_right_ends_with_the_membership(acme: Any) -> None:
    client = as_member(acme, Role.BILLING)
    Membership.objects.filter(tenant=acme.tenant, role=Role.BILLING).delete()

    assert client.get(f"/t/{acme.tenant.slug}/purse/").status_code == 404


def test_owners_may_do_all_and_nobody_else_may_own() -> None:
    assert all(is_granted(Role.OWNER, permission) for permission in Permission)
    assert roles_with(Permission.OWN) == [Role.OWNER]
    assert all(is_granted(role, Permission.VIEW) for role in Role)
    assert not is_granted("stranger", Permission.VIEW)
