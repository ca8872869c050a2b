"""One's own account: address, password, sessions."""

from typing import Any

import pytest
from allauth.account.models import EmailAddress
from allauth.usersessions.models import UserSession
from django.core.mail import EmailMessage
from django.core.management import call_command

from tenants.users.models import User
from tenants.users.services import create_operator
from tenants.users.tests.builders import operator_browser
from tenants.users.tests.people import PASSWORD, Browser, a_person, link_in, new_address

Outbox = list[EmailMessage]
NEW_PASSWORD = "quite-another-one"


@pytest.fixture(autouse=True)
def _open(settings: Any, _database: None) -> None:
    settings.SIGNUP_OPEN = True


# --- Those who were there before -----------------------------------------------------


def test_owners_and_operators_made_by_commands_need_no_confirmation(
    mailoutbox: Outbox, acme: Any
) -> None:
    browser = Browser()

    browser.sign_in(acme.owner.email, acme.password)

    assert browser.is_signed_in
    assert mailoutbox == []


def test_an_operator_enters_both_doors(mailoutbox: Outbox, settings: Any) -> None:
    email = new_address()
    create_operator(email=email, password=PASSWORD)

    for path, name in (("/accounts/login/", "login"), ("/admin/login/", "username")):
        browser = Browser()
        browser.post(path, {name: email, "password": PASSWORD})
        assert browser.get("/admin/").headers["Location"] == "/accounts/2fa/", "first an app"
    settings.OPERATORS_NEED_SECOND_FACTOR = False
    assert browser.get("/admin/").status_code == 200


def test_upgrading_counts_the_addresses_of_people_who_are_there_as_verified(acme: Any) -> None:
    from importlib import import_module

    from django.apps import apps

    EmailAddress.objects.filter(user=acme.owner).delete()

    migration = import_module("tenants.users.migrations.0002_verified_addresses")
    migration.mark_verified(apps, None)

    address = EmailAddress.objects.get(user=acme.owner)
    assert (address.email, address.verified, address.primary) == (acme.owner.email, True, True)


def test_an_address_that_the_operator_enters_in_the_admin_counts(acme: Any) -> None:
    operator = operator_browser()
    changed = new_address()
    page = f"/admin/users/user/{acme.owner.pk}/change/"
    fields = operator.get(page).context["adminform"].form.initial
    operator.post(
        page,
        {
            "email": changed,
            "name": fields["name"],
            "reason": "They moved",
            "is_active": "on",
            "memberships-TOTAL_FORMS": 0,
            "memberships-INITIAL_FORMS": 0,
        },
    )

    browser = Browser()
    browser.sign_in(changed, acme.password)
    assert browser.is_signed_in


# --- Password -----------------------------------------------------------------------


def ask(browser: Browser, address: str) -> Any:
    return browser.post("/accounts/password/reset/", {"email": address}, follow=True)


def test_a_lost_password_is_set_anew_by_mail_once(mailoutbox: Outbox, acme: Any) -> None:
    browser, elsewhere = Browser(), Browser()
    elsewhere.sign_in(acme.owner.email, acme.password)
    ask(browser, acme.owner.email)
    link = link_in(mailoutbox[0])

    form = browser.get(link)
    new = {"password1": NEW_PASSWORD, "password2": NEW_PASSWORD}
    browser.post(form.headers["Location"], new)

    assert browser.is_signed_in
    assert elsewhere.get("/accounts/profile/").status_code == 302
    acme.owner.refresh_from_db()
    assert acme.owner.check_password(NEW_PASSWORD)
    assert "set anew" in mailoutbox[1].subject
    used = Browser().get(link).content.decode()
    assert "This link does not work any more" in used


def test_asking_for_a_password_tells_nobody_who_has_an_account(
    mailoutbox: Outbox, acme: Any
) -> None:
    unknown = new_address()
    pages = [ask(Browser(), address).content for address in (acme.owner.email, unknown)]

    assert len(pages[0]) == len(pages[1])
    assert [mail.to for mail in mailoutbox] == [[acme.owner.email], [unknown]]
    assert "There is no account" in str(mailoutbox[1].body)


def test_a_reset_proves_the_address_of_somebody_who_never_confirmed(mailoutbox: Outbox) -> None:
    address = new_address()
    Browser().sign_up(address, "forgotten-at-once")
    browser = Browser()
    ask(browser, address)

    form = browser.get(link_in(mailoutbox[-1]))
    browser.post(form.headers["Location"], {"password1": NEW_PASSWORD, "password2": NEW_PASSWORD})

    assert browser.is_signed_in
    assert EmailAddress.objects.get(email=address).verified


def test_a_deactivated_person_gets_no_link_and_no_entry(mailoutbox: Outbox, acme: Any) -> None:
    User.objects.filter(pk=acme.owner.pk).update(is_active=False)

    ask(Browser(), acme.owner.email)
    answer = Browser().post(
        "/accounts/login/", {"login": acme.owner.email, "password": acme.password}, follow=True
    )

    assert "/password/reset/key/" not in str(mailoutbox[0].body)
    assert "This account is closed" in answer.content.decode()


# --- Address ------------------------------------------------------------------------


def test_a_new_address_takes_the_old_ones_place_once_it_is_confirmed(mailoutbox: Outbox) -> None:
    browser, old = a_person(mailoutbox)
    new = new_address()
    browser.again()

    browser.post("/accounts/email/", {"email": new, "action_add": ""})
    confirmation = mailoutbox[-1]
    assert confirmation.to == [new]
    assert User.objects.filter(email=old).exists()
    browser.post(link_in(confirmation))

    assert not User.objects.filter(email=old).exists()
    told = mailoutbox[-1]
    assert (told.to, "changed" in told.subject) == ([old], True)
    elsewhere = Browser()
    elsewhere.sign_in(old)
    assert not elsewhere.is_signed_in
    elsewhere.sign_in(new)
    assert elsewhere.is_signed_in


def test_an_address_is_not_changed_by_whoever_finds_an_open_browser(mailoutbox: Outbox) -> None:
    browser, address = a_person(mailoutbox)
    stranger = Browser()
    stranger.cookies = browser.cookies
    sent = len(mailoutbox)
    session = browser.session
    session.pop("account_authentication_methods", None)
    session.save()

    answer = stranger.post("/accounts/email/", {"email": new_address(), "action_add": ""})

    assert answer.headers["Location"].startswith("/accounts/reauthenticate/")
    assert len(mailoutbox) == sent
    assert User.objects.filter(email=address).exists()


def test_an_address_of_somebody_else_cannot_be_taken_and_nothing_tells_so(
    mailoutbox: Outbox, acme: Any
) -> None:
    browser, mine = a_person(mailoutbox)
    browser.again()
    pages = []
    for address in (acme.owner.email, new_address()):
        browser.post("/accounts/email/", {"email": address, "action_add": ""})
        page = browser.get("/accounts/email/").content.decode()
        pages.append(page.replace(address, "ADDRESS"))
    assert ("ADDRESS" in pages[0], "ADDRESS" in pages[1]) == (True, True)

    browser.post("/accounts/email/", {"email": acme.owner.email, "action_add": ""})
    to_owner = [mail for mail in mailoutbox if mail.to == [acme.owner.email]]
    for mail in to_owner:
        browser.post(link_in(mail))

    assert User.objects.get(email=acme.owner.email) == acme.owner
    assert User.objects.filter(email=mine).exists()


def test_a_name_is_saved_and_shown_as_text(mailoutbox: Outbox) -> None:
    browser, address = a_person(mailoutbox)

    page = browser.post("/accounts/profile/", {"name": "<b>Ann"}, follow=True).content.decode()

    assert User.objects.get(email=address).name == "<b>Ann"
    assert "&lt;b&gt;Ann" in page
    assert "<b>Ann" not in page


# --- Sessions -----------------------------------------------------------------------


def two_browsers(acme: Any) -> tuple[Browser, Browser]:
    here, there = Browser(HTTP_USER_AGENT="Firefox/150.0 (Linux)"), Browser()
    for browser in (here, there):
        browser.sign_in(acme.owner.email, acme.password)
    return here, there


def session_of(browser: Browser) -> UserSession:
    session: UserSession = UserSession.objects.get(session_key=browser.session.session_key)
    return session


def test_sessions_are_listed_and_one_of_them_is_ended(acme: Any) -> None:
    here, there = two_browsers(acme)

    page = here.get("/accounts/sessions/").content.decode()
    assert "Firefox on Linux" in page
    assert "This browser" in page
    here.post(f"/accounts/sessions/{session_of(there).pk}/end/")

    assert here.get("/accounts/profile/").status_code == 200
    assert there.get("/accounts/profile/").status_code == 302


def test_all_other_sessions_are_ended_at_once(acme: Any) -> None:
    here, there = two_browsers(acme)

    here.post("/accounts/sessions/")

    assert here.get("/accounts/profile/").status_code == 200
    assert there.get("/accounts/profile/").status_code == 302


def test_another_persons_session_is_not_there(acme: Any, globex: Any) -> None:
    here, _ = two_browsers(acme)
    stranger = Browser()
    stranger.sign_in(globex.owner.email, globex.password)

    answer = stranger.post(f"/accounts/sessions/{session_of(here).pk}/end/")

    assert answer.status_code == 404
    assert here.get("/accounts/profile/").status_code == 200
    assert "Firefox" not in stranger.get("/accounts/sessions/").content.decode()


def test_a_session_is_not_ended_by_following_a_link(acme: Any) -> None:
    here, there = two_browsers(acme)

    assert here.get(f"/accounts/sessions/{session_of(there).pk}/end/").status_code == 405
    assert there.get("/accounts/profile/").status_code == 200


def test_a_session_begun_in_the_admin_is_in_the_list(mailoutbox: Outbox) -> None:
    email = new_address()
    create_operator(email=email, password=PASSWORD)
    browser = Browser()
    browser.post("/admin/login/", {"username": email, "password": PASSWORD})
    browser.get("/admin/")

    assert UserSession.objects.filter(user__email=email).count() == 1


@pytest.mark.parametrize(
    "path",
    [
        "profile/",
        "email/",
        "password/change/",
        "2fa/",
        "2fa/webauthn/",
        "2fa/totp/activate/",
        "sessions/",
    ],
)
def test_the_pages_of_an_account_are_for_those_who_are_signed_in(path: str) -> None:
    answer = Browser().get(f"/accounts/{path}")

    assert answer.status_code == 302
    assert answer.headers["Location"].startswith("/accounts/login/")


def test_create_tenants_owner_can_sign_in(mailoutbox: Outbox) -> None:
    email = new_address()
    slug = f"made-{email[4:14]}"
    call_command("create_tenant", slug, "--owner-email", email, "--owner-password", PASSWORD)
    browser = Browser()

    answer = browser.sign_in(email)

    assert browser.is_signed_in
    assert answer.headers["Location"] == "/"
