"""An operator looks at a workspace: every page of it, and changes nothing anywhere."""

import time
from typing import Any

import pytest
from django.test import Client

from inference.tests.furnished import Furnished, rows_of, workspace_addresses
from inference.tests.test_who_may_open_what import NO, WORKSPACE
from tenants.audit.models import AuditEvent
from tenants.members.permissions import VISITOR, is_granted
from tenants.registry.schemas import tenant_schema
from tenants.users.models import User
from tenants.users.tests.builders import operator_browser, staff_browser

pytestmark = pytest.mark.slow  # every page of a workspace


def look_at(client: Client, furnished: Furnished) -> Any:
    path = f"/admin/tenants/{furnished.cast.code}/visit/"
    return client.post(path, {"reason": "They asked for help"})


def test_every_page_opens_and_no_form_is_taken(ours: Furnished) -> None:
    client = operator_browser()
    answer = look_at(client, ours)
    assert answer["Location"] == f"/t/{ours.slug}/"
    before, ids = rows_of(ours.cast), {**ours.ours, **ours.shared}

    for address in workspace_addresses():
        right, shown, _ = WORKSPACE[address.name]
        path = address.at(ours.slug, ids)
        got = client.get(path)
        told = b"".join(got) if got.streaming else got.content
        may = is_granted(VISITOR, right) and address.name != "export_download"
        allowed = {shown} if may else {403, NO}
        assert got.status_code in allowed, address
        assert b"whsec_" not in told, address
        assert client.post(path).status_code in (403, NO), address
    assert rows_of(ours.cast) == before


def test_it_is_said_on_every_page_and_in_the_tenants_own_trail(ours: Furnished) -> None:
    client = operator_browser()
    look_at(client, ours)
    page = client.get(f"/t/{ours.slug}/usage/").content.decode()
    assert "You look at Acme as an operator, and can change nothing." in page
    assert f'action="/admin/tenants/{ours.cast.code}/leave/"' in page
    with tenant_schema(ours.cast.code):
        event = AuditEvent.objects.filter(action="operator.visited").latest("id")
    assert event.detail == {"reason": "They asked for help"}


def test_it_ends_when_one_leaves_and_after_half_an_hour(
    ours: Furnished, monkeypatch: pytest.MonkeyPatch
) -> None:
    client, page = operator_browser(), f"/t/{ours.slug}/"
    assert client.get(page).status_code == 404
    look_at(client, ours)
    assert client.get(page).status_code == 200
    client.post(f"/admin/tenants/{ours.cast.code}/leave/")
    assert client.get(page).status_code == 404

    look_at(client, ours)
    now = time.time()
    monkeypatch.setattr(time, "time", lambda: now + 30 * 60 + 1)
    assert client.get(page).status_code == 404


def test_it_opens_no_other_workspace(ours: Furnished, theirs: Furnished) -> None:
    client = operator_browser()
    look_at(client, ours)
    assert client.get(f"/t/{theirs.slug}/").status_code == 404
    look_at(client, theirs)
    assert client.get(f"/t/{theirs.slug}/").status_code == 200
    assert client.get(f"/t/{ours.slug}/").status_code == 404


def test_it_takes_the_right_and_ends_with_it(ours: Furnished) -> None:
    assert look_at(staff_browser("view_tenant", "change_tenant"), ours).status_code == 403
    client = staff_browser("view_tenant", "visit_tenant")
    look_at(client, ours)
    assert client.get(f"/t/{ours.slug}/").status_code == 200
    User.objects.filter(pk=client.session["_auth_user_id"]).update(is_staff=False)
    assert client.get(f"/t/{ours.slug}/").status_code == 404


def test_who_is_a_member_too_acts_as_one(ours: Furnished) -> None:
    client = operator_browser()
    user = User.objects.get(pk=client.session["_auth_user_id"])
    membership = user.memberships.create(tenant=ours.cast.tenant, role="viewer")
    look_at(client, ours)
    page = client.get(f"/t/{ours.slug}/").content.decode()
    assert "as an operator" not in page
    membership.delete()
