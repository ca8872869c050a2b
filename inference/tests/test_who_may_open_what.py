"""Every address of the product: who may open it, and that nobody reaches another tenant by it.

The tables below are the rule, by the addresses' names. A new address has to be entered: until
then the first test fails. Each address of a workspace is then tried by each role, by people who
are not signed in, by members of another tenant, and with another tenant's ids.
"""

import re
from typing import Any

import pytest
from allauth.mfa.models import Authenticator
from allauth.usersessions.models import UserSession
from django.db import transaction
from django.test import Client

from inference.tests.furnished import (
    Address,
    Furnished,
    every_address,
    rows_of,
    workspace_addresses,
)
from tenants.members.models import Invitation
from tenants.members.permissions import Permission, is_granted
from tenants.members.tests.builders import person
from tenants.users.models import Role

pytestmark = pytest.mark.slow  # every address, for everybody

P = Permission
# What is not taken: a form's address opened by hand, a form sent to a page that has none.
NO = 405

# Name → the right it takes, the answers to GET and to a form without any field.
WORKSPACE: dict[str, tuple[Permission, int, int]] = {
    "overview": (P.VIEW, 200, 200),
    "keys": (P.VIEW, 200, 200),
    "key_new": (P.MANAGE_KEYS, 200, 422),
    "key": (P.VIEW, 200, 200),
    "key_change": (P.MANAGE_KEYS, 200, 422),
    "key_rotate": (P.MANAGE_KEYS, NO, 302),
    "key_revoke": (P.MANAGE_KEYS, NO, 302),
    "usage": (P.VIEW, 200, 200),
    "calls": (P.VIEW, 200, 200),
    "call": (P.VIEW, 200, 200),
    "refusals": (P.VIEW, 200, 200),
    "usage_export": (P.VIEW, 200, 200),
    "models": (P.VIEW, 200, 200),
    "model": (P.VIEW, 200, 200),
    "playground": (P.CALL, 200, 200),
    "playground_images": (P.CALL, 200, 200),
    "playground_speech": (P.CALL, 200, 200),
    "playground_transcription": (P.CALL, 200, 200),
    "playground_embeddings": (P.CALL, 200, 200),
    "playground_call": (P.CALL, NO, 415),
    "agents": (P.USE_AGENTS, 200, 200),
    "agent_new": (P.USE_AGENTS, 200, 422),
    "agent_call": (P.USE_AGENTS, 200, 415),
    "agent_chat": (P.USE_AGENTS, 200, 200),
    "agent_change": (P.USE_AGENTS, 200, 422),
    "agent_secret": (P.USE_AGENTS, NO, 200),
    "agent_delete": (P.USE_AGENTS, NO, 302),
    "agent_connect": (P.USE_AGENTS, 200, 200),
    "agent_conversations": (P.USE_AGENTS, 200, 200),
    "agent_conversation": (P.USE_AGENTS, 200, 200),
    "guides": (P.VIEW, 200, 200),
    "guide": (P.VIEW, 200, 200),
    "quickstart": (P.VIEW, 200, 200),
    "first_key": (P.MANAGE_KEYS, NO, 302),
    "first_call": (P.VIEW, 200, 200),
    "billing": (P.VIEW_BILLING, 200, NO),
    "billing_quote": (P.MANAGE_BILLING, 200, NO),
    "billing_top_up": (P.MANAGE_BILLING, NO, 422),
    "billing_payments": (P.VIEW_BILLING, 200, NO),
    "billing_payment": (P.VIEW_BILLING, 200, NO),
    "billing_pay": (P.MANAGE_BILLING, 302, NO),
    "billing_state": (P.VIEW_BILLING, 200, NO),
    "billing_refund": (P.MANAGE_BILLING, NO, 422),
    "billing_cancel": (P.MANAGE_BILLING, NO, 302),
    "billing_statement": (P.VIEW_BILLING, 200, NO),
    "billing_statement_file": (P.VIEW_BILLING, 200, NO),
    "billing_details": (P.MANAGE_BILLING, 200, 302),
    "billing_auto": (P.MANAGE_BILLING, NO, 422),
    "billing_alert": (P.MANAGE_BILLING, NO, 302),
    "billing_card": (P.MANAGE_BILLING, NO, 302),
    "billing_card_saved": (P.MANAGE_BILLING, 302, NO),
    "billing_card_remove": (P.MANAGE_BILLING, NO, 302),
    "team": (P.VIEW, 200, 200),
    "team_invite": (P.MANAGE_TEAM, NO, 422),
    "invitation_again": (P.MANAGE_TEAM, NO, 302),
    "invitation_revoke": (P.MANAGE_TEAM, NO, 302),
    "team_leave": (P.VIEW, NO, 302),
    "member": (P.MANAGE_TEAM, 200, 200),
    "member_role": (P.MANAGE_TEAM, NO, 422),
    "member_remove": (P.MANAGE_TEAM, NO, 302),
    "member_keys": (P.MANAGE_TEAM, NO, 302),
    "member_transfer": (P.OWN, NO, 422),
    "settings": (P.MANAGE_SETTINGS, 200, 422),
    "settings_limits": (P.MANAGE_SETTINGS, 200, 302),
    "settings_alerts": (P.MANAGE_SETTINGS, 200, 422),
    "webhooks": (P.MANAGE_SETTINGS, 200, 200),
    "webhook_new": (P.MANAGE_SETTINGS, 200, 422),
    "webhook": (P.MANAGE_SETTINGS, 200, 200),
    "webhook_log": (P.MANAGE_SETTINGS, 200, 200),
    "webhook_change": (P.MANAGE_SETTINGS, 200, 422),
    "webhook_rotate": (P.MANAGE_SETTINGS, NO, 200),
    "webhook_ping": (P.MANAGE_SETTINGS, NO, 302),
    "webhook_remove": (P.MANAGE_SETTINGS, NO, 302),
    "webhook_delivery": (P.MANAGE_SETTINGS, 200, 200),
    "webhook_again": (P.MANAGE_SETTINGS, NO, 302),
    "settings_data": (P.MANAGE_SETTINGS, 200, 302),
    "settings_exports": (P.MANAGE_SETTINGS, 200, 200),
    "settings_export": (P.MANAGE_SETTINGS, NO, 302),
    "export_download": (P.MANAGE_SETTINGS, 200, 200),
    "settings_close": (P.OWN, 200, 422),
    "settings_reopen": (P.OWN, NO, 302),
    "announcement_hide": (P.VIEW, NO, 302),
    "audit": (P.VIEW_AUDIT, 200, 200),
    "audit_export": (P.VIEW_AUDIT, 200, 200),
}

# Everything else, by whom it is for. `admin:…` is the operator's, and /v1 the programs'.
FOR_ANYBODY = {
    "api_reference",
    "account_login",
    "account_logout",
    "account_inactive",
    "account_signup",
    "account_email_verification_sent",
    "account_mail_again",
    "account_confirm_email",
    "account_reset_password",
    "account_reset_password_done",
    "account_reset_password_from_key",
    "account_reset_password_from_key_done",
    # Halves of signing in: the session knows who has given a password.
    "mfa_authenticate",
    "mfa_login_webauthn",
    # Whoever has the token that was mailed.
    "invitation",
    # Stripe, by its signature.
    "stripe_webhook",
    # health/live and health/ready
    "",
    # Whoever has its token.
    "metrics",
}
FOR_WHO_IS_SIGNED_IN = {
    # These three are for anybody where people may sign up (inference/front).
    "home",
    "price_list",
    "price_list_model",
    "new_workspace",
    "check_address",
    "invitation_join",
    "account_reauthenticate",
    "account_profile",
    "account_email",
    "account_change_password",
    "account_set_password",
    "mfa_index",
    "mfa_reauthenticate",
    "mfa_activate_totp",
    "mfa_deactivate_totp",
    "mfa_view_recovery_codes",
    "mfa_generate_recovery_codes",
    "mfa_download_recovery_codes",
    "mfa_list_webauthn",
    "mfa_add_webauthn",
    "mfa_reauthenticate_webauthn",
    "mfa_remove_webauthn",
    "mfa_edit_webauthn",
    "usersessions_list",
    "end_session",
}
METHODS = ("get", "post")


def others() -> list[Address]:
    """What is below neither a workspace, nor /v1, nor /admin."""
    elsewhere = ("t/<slug:slug>/", "v1/", "admin/")
    return [each for each in every_address() if not each.route.startswith(elsewhere)]


def ask(client: Client, method: str, path: str) -> Any:
    answer = getattr(client, method)(path)
    if answer.streaming:
        answer.streaming_content = list(answer.streaming_content)
    return answer


def try_form(client: Client, path: str) -> Any:
    """Its answer; what it has changed is as if it had not been."""
    with transaction.atomic():
        answer = client.post(path)
        transaction.set_rollback(True)
    return answer


def test_the_tables_have_every_address_and_no_other() -> None:
    assert {each.name for each in workspace_addresses()} == set(WORKSPACE)
    assert {each.name for each in others()} == FOR_ANYBODY | FOR_WHO_IS_SIGNED_IN


@pytest.mark.parametrize("role", Role)
def test_each_role_opens_what_it_has_the_right_to(ours: Furnished, role: Role) -> None:
    client, ids = ours.client_of(role), {**ours.ours, **ours.shared}
    before = rows_of(ours.cast)
    got, wanted = {}, {}
    for address in workspace_addresses():
        right, shown, sent = WORKSPACE[address.name]
        path, may = address.at(ours.slug, ids), is_granted(role, right)
        only_shows = sent in (200, NO) and shown != NO
        got[address.name] = (
            ask(client, "get", path).status_code,
            (client.post(path) if only_shows or not may else try_form(client, path)).status_code,
        )
        # Whether its method or its right is looked at first does not matter.
        wanted[address.name] = tuple(
            status if may or (status == NO == answer) else 403
            for status, answer in zip((shown, sent), got[address.name], strict=True)
        )

    assert got == wanted
    changed = {name for name, digest in rows_of(ours.cast).items() if digest != before[name]}
    # A download is noted.
    assert changed == ({"audit_auditevent"} if is_granted(role, P.MANAGE_SETTINGS) else set())


def test_who_is_not_signed_in_is_led_to_where_one_signs_in(ours: Furnished) -> None:
    before, ids = rows_of(ours.cast), {**ours.ours, **ours.shared}

    for address in workspace_addresses():
        for method in METHODS:
            answer = ask(Client(), method, address.at(ours.slug, ids))
            if answer.status_code != NO:
                assert answer.status_code == 302, address
                assert answer["Location"].startswith("/accounts/login/?next=/t/"), address

    assert rows_of(ours.cast) == before


def test_for_others_there_is_no_such_workspace(ours: Furnished, theirs: Furnished) -> None:
    before, ids = rows_of(ours.cast), {**ours.ours, **ours.shared}
    nobody, stranger = Client(), theirs.client_of(Role.OWNER)
    nobody.force_login(person(ours.cast, "nobody"))

    for address in workspace_addresses():
        for client in (nobody, stranger):
            for method in METHODS:
                answer = ask(client, method, address.at(ours.slug, ids))
                assert answer.status_code in (404, NO), (address, method)
                assert "Acme" not in answer.content.decode()

    assert rows_of(ours.cast) == before


def test_ids_of_another_tenant_name_nothing(ours: Furnished, theirs: Furnished) -> None:
    client, before = theirs.client_of(Role.OWNER), (rows_of(ours.cast), rows_of(theirs.cast))
    tried = set()

    for address in workspace_addresses():
        own_ids = [name for name in address.parameters if name in ours.ours]
        for foreign in own_ids:
            ids = {**theirs.ours, **theirs.shared, foreign: ours.ours[foreign]}
            for method in METHODS:
                answer = ask(client, method, address.at(theirs.slug, ids))
                # 415: not even looked up.
                assert answer.status_code in (404, NO, 415), (address, foreign, method)
            tried.add(foreign)

    assert tried == set(ours.ours)
    assert (rows_of(ours.cast), rows_of(theirs.cast)) == before


@pytest.mark.parametrize(
    ("page", "query", "of"),
    [
        ("usage", "key={}&group=key", "key_id"),
        ("usage", "group=member&member=owner@{}.test", "slug"),
        ("calls", "key={}", "key_id"),
        ("calls", "request=req_{}", "request_id"),
        ("calls", "after={}", "request_id"),
        ("usage_export", "key={}", "key_id"),
        ("billing_payments", "before={}", "top_up_id"),
        ("audit", "actor=owner@{}.test", "slug"),
        ("audit_export", "actor=owner@{}.test", "slug"),
    ],
)
def test_a_filter_by_what_is_another_tenants_finds_nothing_of_it(
    ours: Furnished, theirs: Furnished, page: str, query: str, of: str
) -> None:
    ids = {**ours.ours, "slug": ours.slug, "request_id": ours.ours["request_id"].hex}
    (address,) = [each for each in workspace_addresses() if each.name == page]
    path = f"{address.at(theirs.slug, theirs.ours)}?{query.format(ids[of])}"

    answer = theirs.client_of(Role.OWNER).get(path, follow=True)

    told = b"".join(answer) if answer.streaming else answer.content
    assert answer.status_code in (200, 404)
    assert b"Acme" not in told
    assert str(ours.ours["key_id"]).encode() not in told.replace(path.encode(), b"")


# --- the rest -----------------------------------------------------------------------


def test_other_pages_are_for_whom_the_table_says(ours: Furnished) -> None:
    ids = {"invitation_id": ours.ours["invitation_id"], "token": "x:y", "key": "x", "uidb36": "x"}
    ids["name"] = "bge-m3"

    for address in others():
        if address.name:
            answer = Client().get(address.at("", {**ids, "pk": 1}))
            goes_to = answer.headers.get("Location", "")
            is_sent_away = answer.status_code == 302 and goes_to.startswith("/accounts/login/?next")
            is_closed = address.name in FOR_WHO_IS_SIGNED_IN and answer.status_code != NO
            assert is_sent_away == is_closed, (address, answer.status_code, goes_to)


def test_the_admin_is_for_operators(ours: Furnished) -> None:
    client = ours.client_of(Role.OWNER)
    doors = {"admin:login", "admin:logout"}

    for address in every_address():
        if address.route.startswith("admin/") and address.name not in doors:
            path = "/" + re.sub(r"<[^>]+>|\\(.*\\)\\$", "1", address.route)
            for each in (Client(), client):
                for method in METHODS:
                    answer = ask(each, method, path)
                    assert answer.status_code == 302, (address, answer.status_code)
                    assert answer["Location"].startswith("/admin/login/"), address


def test_what_is_anothers_own_is_not_there(ours: Furnished, theirs: Furnished) -> None:
    """Sessions, passkeys, invitations."""
    victim, session = ours.people[Role.OWNER], ours.client_of(Role.OWNER)
    session.get("/accounts/profile/")
    row = UserSession.objects.filter(user=victim).latest("pk")
    passkey = Authenticator.objects.create(
        user=theirs.people[Role.ADMIN], type=Authenticator.Type.WEBAUTHN, data={"name": "mine"}
    )
    client = ours.client_of(Role.VIEWER)

    assert client.post(f"/accounts/sessions/{row.pk}/end/").status_code == 404
    assert session.get("/accounts/profile/").status_code == 200
    for action in ("remove", "edit"):
        answer = client.post(f"/accounts/2fa/webauthn/keys/{passkey.pk}/{action}/")
        assert answer.status_code in (302, 404)
        assert answer.headers.get("Location", "/accounts/reauthenticate/").startswith(
            "/accounts/reauthenticate/"
        )
    assert Authenticator.objects.filter(pk=passkey.pk).exists()
    client.post(f"/invitations/{ours.ours['invitation_id']}/join/")
    assert Invitation.objects.get(pk=ours.ours["invitation_id"]).accepted_at is None


def test_no_form_is_taken_from_another_sites_page(ours: Furnished) -> None:
    before, ids = rows_of(ours.cast), {**ours.ours, **ours.shared}
    client = ours.client_of(Role.OWNER, enforce_csrf_checks=True)
    given = {**ids, "token": "x:y", "key": "x", "uidb36": "x", "pk": 1}

    for address in [*workspace_addresses(), *others()]:
        if address.name and address.name != "stripe_webhook":
            answer = client.post(address.at(ours.slug, given))
            assert answer.status_code in (403, NO), address

    assert rows_of(ours.cast) == before
