"""Roles, removals, the last owner: what each member may do to which other."""

import threading
from typing import Any
from urllib.parse import urlencode

import pytest
from django.contrib.auth.hashers import Argon2PasswordHasher
from django.db import connection
from django.test import Client

from tenants.keys.services import create_api_key, list_api_keys
from tenants.members import team
from tenants.members.errors import LastOwnerError, NotAMemberError, RoleError, TeamError
from tenants.members.permissions import may_give
from tenants.members.tests.builders import (
    PASSWORD,
    actor,
    audit_of,
    member,
    person,
    role_of,
    signed_in,
    text,
)
from tenants.users.models import Membership, Role, User

# Who may make, change and remove whom.
MAY_GIVE = {
    Role.OWNER: set(Role),
    Role.ADMIN: {Role.ADMIN, Role.DEVELOPER, Role.BILLING, Role.VIEWER},
    Role.DEVELOPER: set(),
    Role.BILLING: set(),
    Role.VIEWER: set(),
}


def url(cast: Any, path: str = "") -> str:
    return f"/t/{cast.tenant.slug}/team/{path}"


@pytest.mark.parametrize("own", Role)
@pytest.mark.parametrize("other", Role)
def test_nobody_gives_or_takes_a_role_above_their_own(own: Role, other: Role) -> None:
    assert may_give(own, other) == (other in MAY_GIVE[own])


@pytest.mark.parametrize("own", Role)
@pytest.mark.parametrize("theirs", Role)
def test_roles_are_changed_as_the_table_says(acme: Any, own: Role, theirs: Role) -> None:
    by, other = member(acme, own, "by"), member(acme, theirs, "other")
    aim = Role.BILLING if theirs == Role.VIEWER else Role.VIEWER

    answer = signed_in(by).post(url(acme, f"{other.pk}/role/"), {"role": aim})

    if theirs in MAY_GIVE[own]:
        assert answer.status_code == 302
        assert role_of(acme, other) == aim
    else:
        assert answer.status_code in {403, 422}
        assert role_of(acme, other) == theirs


@pytest.mark.parametrize("own", Role)
@pytest.mark.parametrize("theirs", Role)
def test_members_are_removed_as_the_table_says(acme: Any, own: Role, theirs: Role) -> None:
    by, other = member(acme, own, "by"), member(acme, theirs, "other")

    answer = signed_in(by).post(url(acme, f"{other.pk}/remove/"))

    assert (answer.status_code == 302) == (theirs in MAY_GIVE[own])
    assert (role_of(acme, other) is None) == (theirs in MAY_GIVE[own])


@pytest.mark.parametrize("own", Role)
@pytest.mark.parametrize("given", Role)
def test_people_are_invited_as_the_table_says(
    acme: Any, own: Role, given: Role, mailoutbox: list[Any]
) -> None:
    by = member(acme, own, "by")

    client = signed_in(by, just_now=True)
    answer = client.post(url(acme, "invite/"), {"email": "new@x.test", "role": given})

    assert (answer.status_code == 302) == (given in MAY_GIVE[own])
    assert len(mailoutbox) == (given in MAY_GIVE[own])


def test_nobody_becomes_an_owner_by_a_mere_click(acme: Any, mailoutbox: list[Any]) -> None:
    other, client = member(acme, Role.ADMIN), signed_in(acme.owner)
    form, page = {"role": "owner"}, url(acme, f"{other.pk}/")

    changed = client.post(f"{page}role/", form)
    invited = client.post(url(acme, "invite/"), {"email": "new@x.test", **form})

    assert changed["Location"] == f"/accounts/reauthenticate/?{urlencode({'next': page})}"
    assert invited["Location"].startswith("/accounts/reauthenticate/")
    assert role_of(acme, other) == Role.ADMIN
    assert mailoutbox == []

    back = client.post(changed["Location"], {"password": acme.password})
    client.post(f"{page}role/", form)

    assert back["Location"] == page
    assert role_of(acme, other) == Role.OWNER


def test_a_change_is_in_the_audit_trail_and_mailed(acme: Any, mailoutbox: list[Any]) -> None:
    other = member(acme, Role.VIEWER)
    client = signed_in(acme.owner)

    client.post(url(acme, f"{other.pk}/role/"), {"role": "developer"}, REMOTE_ADDR="203.0.113.7")

    event = audit_of(acme)[0]
    assert (event.actor, event.action, event.subject, event.ip) == (
        acme.owner.email,
        "member.role_changed",
        other.email,
        "203.0.113.7",
    )
    assert event.detail == {"role": ["viewer", "developer"]}
    assert [mail.to for mail in mailoutbox] == [[other.email]]
    assert "developer" in mailoutbox[0].body


def test_who_is_removed_sees_nothing_from_that_moment(acme: Any) -> None:
    other = member(acme, Role.DEVELOPER)
    theirs = signed_in(other)
    assert theirs.get(url(acme)).status_code == 200

    signed_in(acme.owner).post(url(acme, f"{other.pk}/remove/"))

    assert theirs.get(url(acme)).status_code == 404
    assert acme.tenant.name not in theirs.get("/").content.decode()


@pytest.mark.parametrize("ticked", [True, False])
def test_their_keys_end_when_that_is_ticked(acme: Any, ticked: bool) -> None:
    other = member(acme, Role.DEVELOPER)
    row, _ = create_api_key(tenant=acme.tenant, name="theirs", actor=actor(other))
    data = {"with_keys": "on"} if ticked else {}

    signed_in(acme.owner).post(url(acme, f"{other.pk}/remove/"), data)

    active = {key.key_id for key in list_api_keys(tenant=acme.tenant) if key.is_active}
    assert (row.key_id in active) != ticked
    assert len(active) == 2 - ticked  # the workspace's other key works on


def test_the_keys_of_who_may_make_none_any_more_are_revoked(acme: Any) -> None:
    other, client = member(acme, Role.DEVELOPER), signed_in(acme.owner)
    create_api_key(tenant=acme.tenant, name="theirs", actor=actor(other), scopes=["admin"])
    client.post(url(acme, f"{other.pk}/role/"), {"role": "viewer"})
    assert "Revoke it" in text(client.get(url(acme, f"{other.pk}/")))

    done = client.post(url(acme, f"{other.pk}/keys/"), follow=True)

    assert f"1 API key of {other.email} revoked" in text(done)
    active = [key.name for key in list_api_keys(tenant=acme.tenant) if key.is_active]
    assert active == ["test"]
    assert audit_of(acme)[0].action == "api_key.revoked"


def test_an_admin_revokes_no_keys_of_an_owner(acme: Any) -> None:
    admin = signed_in(member(acme, Role.ADMIN))
    create_api_key(tenant=acme.tenant, name="theirs", actor=actor(acme.owner))

    refused = admin.post(url(acme, f"{acme.owner.pk}/keys/"), follow=True)

    assert "may not revoke the keys of an owner" in text(refused)
    assert all(key.is_active for key in list_api_keys(tenant=acme.tenant))


def test_keys_stay_when_a_removal_is_refused(acme: Any) -> None:
    admin = member(acme, Role.ADMIN)
    row, _ = create_api_key(tenant=acme.tenant, name="owner's", actor=actor(acme.owner))

    with pytest.raises(RoleError):
        team.remove_member(
            tenant=acme.tenant,
            user_id=acme.owner.pk,
            by=admin,
            actor=actor(admin),
            with_keys=True,
        )

    assert all(key.is_active for key in list_api_keys(tenant=acme.tenant))
    assert row.member_id == acme.owner.pk


def test_the_last_owner_stays_owner(acme: Any) -> None:
    client = signed_in(acme.owner)

    leaving = client.post(url(acme, "leave/"), follow=True)
    demoting = client.post(url(acme, f"{acme.owner.pk}/role/"), {"role": "admin"})

    assert "only owner" in text(leaving)
    assert demoting.status_code == 422
    assert "only owner" in text(demoting)
    assert role_of(acme, acme.owner) == Role.OWNER


def test_an_owner_whose_account_is_closed_is_not_the_other_one(acme: Any) -> None:
    gone = member(acme, Role.OWNER, "gone")
    User.objects.filter(pk=gone.pk).update(is_active=False)
    client = signed_in(acme.owner)

    leaving = client.post(url(acme, "leave/"), follow=True)
    handing = client.post(url(acme, f"{gone.pk}/transfer/"), {"password": acme.password})
    client.post(url(acme, f"{gone.pk}/remove/"))

    assert "only owner" in text(leaving)
    assert "is closed" in text(handing)
    assert role_of(acme, acme.owner) == Role.OWNER
    assert role_of(acme, gone) is None


def test_one_of_two_owners_may_leave(acme: Any, mailoutbox: list[Any]) -> None:
    second = member(acme, Role.OWNER, "second")

    answer = signed_in(acme.owner).post(url(acme, "leave/"))

    assert answer["Location"] == "/"
    assert role_of(acme, acme.owner) is None
    assert [mail.to for mail in mailoutbox] == [[second.email]]


@pytest.mark.parametrize("way", ["leave", "demote", "remove each other"])
def test_two_owners_at_once_do_not_leave_it_without_one(acme: Any, way: str) -> None:
    second = member(acme, Role.OWNER, "second")
    pair = [(acme.owner, second), (second, acme.owner)]
    gate = threading.Barrier(2)
    refused: list[TeamError] = []

    def go(own: Any, other: Any) -> None:
        gate.wait()
        try:
            if way == "leave":
                team.leave(tenant=acme.tenant, user=own, actor=actor(own))
            elif way == "demote":
                team.change_role(
                    tenant=acme.tenant,
                    user_id=own.pk,
                    role=Role.VIEWER,
                    by=own,
                    actor=actor(own),
                )
            else:
                team.remove_member(tenant=acme.tenant, user_id=other.pk, by=own, actor=actor(own))
        except TeamError as exc:
            refused.append(exc)
        finally:
            connection.close()

    threads = [threading.Thread(target=go, args=each) for each in pair]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    owners = Membership.objects.filter(tenant=acme.tenant, role=Role.OWNER)
    assert owners.count() == 1
    assert len(refused) == 1
    assert isinstance(refused[0], LastOwnerError | NotAMemberError)


def test_a_role_lost_meanwhile_gives_nothing(acme: Any) -> None:
    """The page was opened as an admin; the change is sent as a viewer."""
    admin, other = member(acme, Role.ADMIN), member(acme, Role.VIEWER)
    Membership.objects.filter(tenant=acme.tenant, user=admin).update(role=Role.VIEWER)

    with pytest.raises(RoleError):
        team.change_role(
            tenant=acme.tenant, user_id=other.pk, role=Role.ADMIN, by=admin, actor=actor(admin)
        )


# --- handing over -------------------------------------------------------------------


def test_the_workspace_is_handed_over_with_the_password(acme: Any, mailoutbox: list[Any]) -> None:
    other = member(acme, Role.DEVELOPER)

    answer = signed_in(acme.owner).post(
        url(acme, f"{other.pk}/transfer/"), {"password": acme.password}
    )

    assert answer.status_code == 302
    assert (role_of(acme, other), role_of(acme, acme.owner)) == (Role.OWNER, Role.ADMIN)
    assert sorted(mail.to[0] for mail in mailoutbox) == sorted([other.email, acme.owner.email])
    assert audit_of(acme)[0].action == "workspace.transferred"


def test_the_password_again_ends_no_session(acme: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Though its digest is of an older kind than those made now."""
    other = member(acme, Role.ADMIN)
    client = signed_in(acme.owner)
    monkeypatch.setattr(Argon2PasswordHasher, "time_cost", 2)

    client.post(url(acme, f"{other.pk}/transfer/"), {"password": acme.password})

    assert client.get(url(acme)).status_code == 200
    assert role_of(acme, other) == Role.OWNER


@pytest.mark.parametrize("password", ["", "wrong-horse-1"])
def test_it_is_not_without(acme: Any, password: str) -> None:
    other = member(acme, Role.ADMIN)

    answer = signed_in(acme.owner).post(url(acme, f"{other.pk}/transfer/"), {"password": password})

    assert answer.status_code == 422
    assert role_of(acme, acme.owner) == Role.OWNER


def test_passwords_are_not_guessed_there(acme: Any) -> None:
    other = member(acme, Role.ADMIN)
    client = signed_in(acme.owner)
    for _ in range(10):
        client.post(url(acme, f"{other.pk}/transfer/"), {"password": "wrong-horse-1"})

    answer = client.post(url(acme, f"{other.pk}/transfer/"), {"password": acme.password})

    assert "Too many attempts" in text(answer)
    assert role_of(acme, acme.owner) == Role.OWNER


def test_only_an_owner_hands_over(acme: Any) -> None:
    admin, other = member(acme, Role.ADMIN), member(acme, Role.VIEWER)

    answer = signed_in(admin).post(url(acme, f"{other.pk}/transfer/"), {"password": PASSWORD})

    assert answer.status_code == 403
    assert role_of(acme, other) == Role.VIEWER


# --- pages --------------------------------------------------------------------------


@pytest.mark.parametrize("role", Role)
def test_everybody_sees_the_team(acme: Any, role: Role) -> None:
    user = member(acme, role, "somebody")
    page = text(signed_in(user).get(url(acme)))

    assert acme.owner.email in page
    assert user.email in page
    assert ("Invite somebody" in page) == (role in {Role.OWNER, Role.ADMIN})


def test_last_seen_is_noted(acme: Any) -> None:
    other = member(acme, Role.VIEWER)
    client = signed_in(acme.owner)
    assert "not yet" in text(client.get(url(acme)))

    signed_in(other).get(f"/t/{acme.tenant.slug}/")

    assert "not yet" not in text(client.get(url(acme)))


def test_another_workspace_is_not_reached(acme: Any, globex: Any) -> None:
    stranger, theirs = signed_in(globex.owner), member(acme, Role.VIEWER)
    mine = member(globex, Role.VIEWER)

    for path in (
        "",
        "invite/",
        "leave/",
        f"{theirs.pk}/",
        f"{theirs.pk}/role/",
        f"{theirs.pk}/remove/",
        f"{theirs.pk}/transfer/",
    ):
        method = stranger.post if path.rstrip("/").split("/")[-1].isalpha() else stranger.get
        assert method(url(acme, path)).status_code == 404, path
        if str(theirs.pk) in path:  # another tenant's person below one's own address
            assert method(url(globex, path)).status_code == 404, path
    assert role_of(acme, theirs) == Role.VIEWER
    assert role_of(globex, mine) == Role.VIEWER


@pytest.mark.parametrize("role", [Role.DEVELOPER, Role.BILLING, Role.VIEWER])
def test_who_may_not_manage_changes_nothing(acme: Any, role: Role) -> None:
    client, other = signed_in(member(acme, role, "somebody")), member(acme, Role.VIEWER)

    for path in (f"{other.pk}/role/", f"{other.pk}/remove/", f"{other.pk}/transfer/", "invite/"):
        assert client.post(url(acme, path), {"role": "viewer"}).status_code == 403
    assert client.get(url(acme, f"{other.pk}/")).status_code == 403


def test_changes_are_posted(acme: Any) -> None:
    other = member(acme, Role.VIEWER)
    for path in (f"{other.pk}/role/", f"{other.pk}/remove/", "leave/", "invite/"):
        assert signed_in(acme.owner).get(url(acme, path)).status_code == 405


def test_the_form_of_another_site_is_refused(acme: Any) -> None:
    client = Client(enforce_csrf_checks=True)
    client.force_login(acme.owner)
    other = member(acme, Role.VIEWER)

    assert client.post(url(acme, f"{other.pk}/remove/")).status_code == 403
    assert role_of(acme, other) == Role.VIEWER


def test_a_person_in_no_workspace_gets_nowhere(acme: Any) -> None:
    assert signed_in(person(acme, "nobody")).get(url(acme)).status_code == 404
