"""A link by mail: for one address, once, for seven days."""

import re
import threading
from datetime import timedelta
from typing import Any

import pytest
from allauth.account.models import EmailAddress
from django.core import mail
from django.db import connection
from django.test import Client
from django.utils import timezone

from tenants.members import invitations
from tenants.members.errors import InvitationError
from tenants.members.models import Invitation
from tenants.members.tests.builders import (
    actor,
    audit_of,
    member,
    person,
    role_of,
    signed_in,
    text,
)
from tenants.registry.services import resume_tenant, suspend_tenant
from tenants.users.models import Role, User
from tenants.workspaces.closing import close_workspace

LINK = re.compile(r"/invitations/\S+/")


def invite(cast: Any, email: str, role: str = "developer") -> str:
    """Invite as the owner does; returns the link that was mailed."""
    answer = signed_in(cast.owner, just_now=role == "owner").post(
        f"/t/{cast.tenant.slug}/team/invite/", {"email": email, "role": role}
    )
    assert answer.status_code == 302, text(answer)
    return latest_link()


def latest_link() -> str:
    found = LINK.search(str(mail.outbox[-1].body))
    assert found
    return found[0]


def row(cast: Any, email: str) -> Invitation:
    return Invitation.objects.get(tenant=cast.tenant, email=email, revoked_at=None)


def test_a_known_person_joins_with_one_press(acme: Any) -> None:
    guest = person(acme, "guest")
    link = invite(acme, guest.email)
    client = signed_in(guest)

    page = client.get(link)
    assert "Join as developer" in text(page)
    assert role_of(acme, guest) is None  # opening it does nothing
    answer = client.post(link, REMOTE_ADDR="203.0.113.8")

    assert answer["Location"] == f"/t/{acme.tenant.slug}/"
    assert role_of(acme, guest) == Role.DEVELOPER
    joined, invited = audit_of(acme)[:2]
    assert (joined.actor, joined.action, joined.ip) == (
        guest.email,
        "member.joined",
        "203.0.113.8",
    )
    assert (invited.actor, invited.action) == (acme.owner.email, "member.invited")
    assert mail.outbox[-1].to == [acme.owner.email]


def test_a_stranger_is_asked_to_sign_in_and_comes_back(acme: Any) -> None:
    guest = person(acme, "guest")
    link = invite(acme, guest.email)
    client = Client()

    page = text(client.get(link))
    sign_in = re.search(r'href="(/accounts/login/\?next=[^"]+)"', page)
    assert sign_in
    answer = client.post(
        sign_in[1].replace("&amp;", "&"),
        {"login": guest.email, "password": "correct-horse-1", "next": link},
    )

    assert answer["Location"] == link
    assert client.post(link).status_code == 302
    assert role_of(acme, guest) == Role.DEVELOPER


def test_it_waits_in_the_list_of_workspaces(acme: Any, globex: Any) -> None:
    """The mail need not be found again, say after signing up."""
    guest, other = person(acme, "guest"), person(acme, "other")
    invite(acme, guest.email)
    pk = row(acme, guest.email).pk

    assert "Join Acme" in text(signed_in(guest).get("/"))
    assert "Join Acme" not in text(signed_in(other).get("/", follow=True))
    signed_in(other).post(f"/invitations/{pk}/join/")
    assert role_of(acme, other) is None
    answer = signed_in(guest).post(f"/invitations/{pk}/join/")

    assert answer["Location"] == f"/t/{acme.tenant.slug}/"
    assert role_of(acme, guest) == Role.DEVELOPER


def test_who_is_invited_may_sign_up_where_others_may_not(acme: Any, settings: Any) -> None:
    settings.SIGNUP_OPEN = False
    link = invite(acme, "new@x.test")
    client = Client()
    client.get(link)
    assert "Make one with this address" in text(client.get(link))
    assert 'name="password1"' in text(client.get("/accounts/signup/"))
    assert 'name="password1"' not in text(Client().get("/accounts/signup/"))


def test_they_sign_up_with_no_other_address(acme: Any, settings: Any) -> None:
    settings.SIGNUP_OPEN = False
    address = f"new@{acme.tenant.slug}.test"
    client = Client(REMOTE_ADDR="192.0.2.77")
    client.get(invite(acme, address))

    def sign_up(email: str) -> Any:
        return client.post("/accounts/signup/", {"email": email, "password1": "a-long-pass-1"})

    refused, taken = sign_up(f"else@{acme.tenant.slug}.test"), sign_up(address.upper())

    assert "Sign up with the address that was invited" in text(refused)
    assert taken.status_code == 302
    made = User.objects.filter(email__endswith=f"@{acme.tenant.slug}.test")
    assert {user.email for user in made} == {acme.owner.email, address}


def test_a_closed_or_suspended_workspace_invites_nobody(acme: Any) -> None:
    client, page = signed_in(acme.owner), f"/t/{acme.tenant.slug}/team/"
    invite(acme, "new@x.test")
    again = f"{page}invitations/{row(acme, 'new@x.test').pk}/again/"
    mail.outbox.clear()
    form = {"email": "else@x.test", "role": "viewer"}

    suspend_tenant(tenant=acme.tenant, reason="spam", actor="test")
    assert "suspended: nobody is invited" in text(client.post(f"{page}invite/", form))
    resume_tenant(tenant=acme.tenant, actor="test")
    close_workspace(tenant=acme.tenant, actor=actor(acme.owner))
    mail.outbox.clear()

    assert "closed: open it again" in text(client.post(f"{page}invite/", form))
    assert "closed: open it again" in text(client.post(again, follow=True))
    assert mail.outbox == []


def test_a_closed_workspace_is_not_joined(acme: Any) -> None:
    guest = person(acme, "guest")
    link = invite(acme, guest.email)
    close_workspace(tenant=acme.tenant, actor=actor(acme.owner))

    page = signed_in(guest).post(link, follow=True)

    assert "has been closed" in text(page)
    assert role_of(acme, guest) is None


def test_the_address_counts_in_any_case(acme: Any) -> None:
    guest = person(acme, "guest")
    link = invite(acme, guest.email.upper())

    signed_in(guest).post(link)

    assert role_of(acme, guest) == Role.DEVELOPER


def test_it_is_of_no_use_to_somebody_else(acme: Any) -> None:
    guest, other = person(acme, "guest"), person(acme, "other")
    link = invite(acme, guest.email)
    client = signed_in(other)

    page = text(client.get(link))
    client.post(link)

    assert f"signed in as <strong>{other.email}" in page
    assert "Sign out" in page
    assert "Join as" not in page
    assert role_of(acme, other) is None


def test_an_address_that_is_not_confirmed_does_not_count(acme: Any) -> None:
    guest = person(acme, "guest")
    EmailAddress.objects.filter(user=guest).update(verified=False)
    link = invite(acme, guest.email)
    client = signed_in(guest)

    assert "First confirm" in text(client.get(link))
    client.post(link)
    assert role_of(acme, guest) is None

    EmailAddress.objects.filter(user=guest).update(verified=True)
    client.post(link)
    assert role_of(acme, guest) == Role.DEVELOPER


def test_it_works_once(acme: Any) -> None:
    guest = person(acme, "guest")
    link = invite(acme, guest.email)
    client = signed_in(guest)
    client.post(link)
    signed_in(acme.owner).post(f"/t/{acme.tenant.slug}/team/{guest.pk}/remove/")

    page = client.post(link, follow=True)

    assert "has been used" in text(page)
    assert role_of(acme, guest) is None


def test_who_has_joined_is_led_to_the_workspace(acme: Any) -> None:
    guest = person(acme, "guest")
    link = invite(acme, guest.email)
    client = signed_in(guest)
    client.post(link)

    assert client.get(link)["Location"] == f"/t/{acme.tenant.slug}/"


def test_it_expires_and_says_what_to_do(acme: Any) -> None:
    guest = person(acme, "guest")
    link = invite(acme, guest.email)
    Invitation.objects.filter(tenant=acme.tenant).update(
        expires_at=timezone.now() - timedelta(seconds=1)
    )
    client = signed_in(guest)

    page = client.get(link)
    client.post(link)

    assert page.status_code == 410
    assert "has expired" in text(page)
    assert acme.owner.email in text(page)
    assert role_of(acme, guest) is None


def test_seven_days(acme: Any) -> None:
    invite(acme, "new@x.test")

    left = row(acme, "new@x.test").expires_at - timezone.now()

    assert timedelta(days=6, hours=23) < left <= timedelta(days=7)


def test_it_can_be_revoked(acme: Any) -> None:
    guest = person(acme, "guest")
    link = invite(acme, guest.email)
    pk = row(acme, guest.email).pk
    page = f"/t/{acme.tenant.slug}/team/"

    signed_in(acme.owner).post(f"{page}invitations/{pk}/revoke/")

    assert "was revoked" in text(signed_in(guest).get(link))
    signed_in(guest).post(link)
    assert role_of(acme, guest) is None
    assert guest.email not in text(signed_in(acme.owner).get(page))


def test_sent_again_only_the_new_link_works(acme: Any) -> None:
    guest = person(acme, "guest")
    old = invite(acme, guest.email)
    Invitation.objects.filter(tenant=acme.tenant).update(
        sent_at=timezone.now() - timedelta(minutes=2),
        expires_at=timezone.now() - timedelta(days=1),
    )
    pk = row(acme, guest.email).pk

    signed_in(acme.owner).post(f"/t/{acme.tenant.slug}/team/invitations/{pk}/again/")

    new = latest_link()
    assert new != old
    assert signed_in(guest).get(old).status_code == 404
    signed_in(guest).post(new)
    assert role_of(acme, guest) == Role.DEVELOPER


def test_the_token_is_kept_nowhere(acme: Any) -> None:
    token = invite(acme, "new@x.test").split("/")[2]

    assert token not in str(Invitation.objects.filter(tenant=acme.tenant).values())
    assert all(token not in str(event.detail) for event in audit_of(acme))


@pytest.mark.parametrize("token", ["x", "a:b", "0" * 200])
def test_noise_is_told_from_links_without_a_query(
    token: str, acme: Any, django_assert_num_queries: Any
) -> None:
    with django_assert_num_queries(0):
        assert invitations.find_invitation(token) is None
    assert Client().get(f"/invitations/{token}/").status_code == 404


def test_a_changed_token_is_none(acme: Any) -> None:
    link = invite(acme, "new@x.test")

    assert Client().get(link[:-2] + ("A" if link[-2] != "A" else "B") + "/").status_code == 404


def test_a_member_and_an_invited_address_are_not_invited_again(acme: Any) -> None:
    invite(acme, "new@x.test")
    client = signed_in(acme.owner)
    page = f"/t/{acme.tenant.slug}/team/invite/"

    twice = client.post(page, {"email": "NEW@x.test", "role": "viewer"})
    member_ = client.post(page, {"email": acme.owner.email, "role": "viewer"})

    assert "invited already" in text(twice)
    assert "a member already" in text(member_)
    assert len(mail.outbox) == 1


def test_an_expired_one_gives_way_to_a_new_one(acme: Any) -> None:
    invite(acme, "new@x.test", "viewer")
    Invitation.objects.filter(tenant=acme.tenant).update(expires_at=timezone.now())

    invite(acme, "new@x.test", "billing")

    assert row(acme, "new@x.test").role == Role.BILLING


def test_invitations_have_a_rate(acme: Any, settings: Any) -> None:
    settings.INVITATIONS_PER_HOUR = 3
    client = signed_in(acme.owner)
    page = f"/t/{acme.tenant.slug}/team/invite/"

    answers = [
        client.post(page, {"email": f"n{number}@x.test", "role": "viewer"}) for number in range(5)
    ]

    assert [answer.status_code for answer in answers] == [302, 302, 302, 422, 422]
    assert "At most 3 invitations in an hour" in text(answers[-1])
    assert len(mail.outbox) == 3


def test_mails_that_are_sent_again_count_as_well(acme: Any, settings: Any) -> None:
    settings.INVITATIONS_PER_HOUR = 3
    client, page = signed_in(acme.owner), f"/t/{acme.tenant.slug}/team/"
    invite(acme, "new@x.test")
    found = row(acme, "new@x.test")

    answers = []
    for _ in range(3):
        Invitation.objects.filter(pk=found.pk).update(sent_at=timezone.now() - timedelta(minutes=2))
        answers.append(client.post(f"{page}invitations/{found.pk}/again/", follow=True))

    assert "At most 3 invitations in an hour" in text(answers[-1])
    assert len(mail.outbox) == 3
    refused = client.post(f"{page}invite/", {"email": "else@x.test", "role": "viewer"})
    assert "At most 3 invitations in an hour" in text(refused)


def test_one_address_is_not_pestered(acme: Any) -> None:
    client = signed_in(acme.owner)
    page = f"/t/{acme.tenant.slug}/team/"
    for _ in range(3):
        invite(acme, "new@x.test")
        client.post(f"{page}invitations/{row(acme, 'new@x.test').pk}/revoke/")

    answer = client.post(f"{page}invite/", {"email": "new@x.test", "role": "viewer"})

    assert "invited 3 times today" in text(answer)
    invite(acme, "another@x.test")
    again = f"{page}invitations/{row(acme, 'another@x.test').pk}/again/"
    assert "less than a minute ago" in text(client.post(again, follow=True))


def test_two_presses_at_once_join_once(acme: Any) -> None:
    guest = person(acme, "guest")
    token = invite(acme, guest.email).split("/")[2]
    found = invitations.find_invitation(token)
    assert found
    outcomes: list[str] = []

    def press() -> None:
        try:
            invitations.accept(invitation=found, user=guest, actor=actor(guest))
            outcomes.append("joined")
        except InvitationError:
            outcomes.append("refused")
        finally:
            connection.close()

    threads = [threading.Thread(target=press) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert sorted(outcomes) == ["joined", "refused", "refused"]
    assert sum(event.action == "member.joined" for event in audit_of(acme)) == 1


def test_a_member_keeps_the_role_they_have(acme: Any) -> None:
    guest = person(acme, "guest")
    link = invite(acme, guest.email, "viewer")
    member(acme, Role.ADMIN, "guest")

    signed_in(guest).post(link)

    assert role_of(acme, guest) == Role.ADMIN


def test_what_a_removed_member_has_sent_ends(acme: Any) -> None:
    admin, guest = member(acme, Role.ADMIN), person(acme, "guest")
    signed_in(admin).post(
        f"/t/{acme.tenant.slug}/team/invite/", {"email": guest.email, "role": "admin"}
    )
    link = latest_link()

    signed_in(acme.owner).post(f"/t/{acme.tenant.slug}/team/{admin.pk}/remove/")
    signed_in(guest).post(link)

    assert role_of(acme, guest) is None


def test_who_is_demoted_no_longer_invites_above(acme: Any) -> None:
    admin, guest, other = member(acme, Role.ADMIN), person(acme, "guest"), person(acme, "other")
    page = f"/t/{acme.tenant.slug}/team/"
    links = []
    for each in (guest, other):
        signed_in(admin).post(f"{page}invite/", {"email": each.email, "role": "admin"})
        links.append(latest_link())

    signed_in(acme.owner).post(f"{page}{admin.pk}/role/", {"role": "viewer"})

    for each, link in zip((guest, other), links, strict=True):
        signed_in(each).post(link)
        assert role_of(acme, each) is None


def test_a_mail_that_fails_is_told(acme: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(**_: Any) -> None:
        raise ConnectionRefusedError

    monkeypatch.setattr("tenants.members.mails.send_mail", fail)
    answer = signed_in(acme.owner).post(
        f"/t/{acme.tenant.slug}/team/invite/",
        {"email": "new@x.test", "role": "viewer"},
        follow=True,
    )

    assert "could not be sent now" in text(answer)
    assert row(acme, "new@x.test").state == Invitation.State.PENDING


def test_another_workspace_s_invitations_are_not_reached(acme: Any, globex: Any) -> None:
    invite(acme, "new@x.test")
    pk = row(acme, "new@x.test").pk
    stranger = signed_in(globex.owner)

    for slug in (acme.tenant.slug, globex.tenant.slug):
        for act in ("again", "revoke"):
            path = f"/t/{slug}/team/invitations/{pk}/{act}/"
            assert stranger.post(path).status_code == 404
    assert row(acme, "new@x.test").times_sent == 1


@pytest.mark.parametrize("role", [Role.DEVELOPER, Role.BILLING, Role.VIEWER])
def test_who_may_not_manage_sees_and_changes_no_invitation(acme: Any, role: Role) -> None:
    invite(acme, "new@x.test")
    pk = row(acme, "new@x.test").pk
    client = signed_in(member(acme, role))
    page = f"/t/{acme.tenant.slug}/team/"

    assert "new@x.test" not in text(client.get(page))
    assert client.post(f"{page}invitations/{pk}/revoke/").status_code == 403
    assert client.post(f"{page}invitations/{pk}/again/").status_code == 403


def test_an_admin_does_not_touch_an_owner_s_invitation(acme: Any) -> None:
    invite(acme, "new@x.test", "owner")
    pk = row(acme, "new@x.test").pk

    signed_in(member(acme, Role.ADMIN)).post(f"/t/{acme.tenant.slug}/team/invitations/{pk}/revoke/")

    assert row(acme, "new@x.test").state == Invitation.State.PENDING


def test_a_name_with_a_line_break_does_not_change_the_mail(acme: Any) -> None:
    acme.tenant.name = "Acme\nBcc: everybody@x.test"
    acme.tenant.save()

    invite(acme, "new@x.test")

    assert mail.outbox[-1].subject == "You are invited to Acme Bcc: everybody@x.test"
    assert mail.outbox[-1].recipients() == ["new@x.test"]
