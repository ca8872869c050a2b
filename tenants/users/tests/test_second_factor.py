"""Second factors: codes of an app, recovery codes."""

import re
from io import StringIO
from typing import Any

import pytest
from allauth.mfa.models import Authenticator
from allauth.mfa.totp.internal.auth import (
    format_hotp_value,
    hotp_value,
    yield_hotp_counters_from_time,
)
from django.core.cache import cache
from django.core.mail import EmailMessage
from django.core.management import call_command

from tenants.users.models import User
from tenants.users.tests.people import PASSWORD, Browser, a_person, link_in

Outbox = list[EmailMessage]


@pytest.fixture(autouse=True)
def _open(settings: Any, _database: None) -> None:
    settings.SIGNUP_OPEN = True


class App:
    """An authenticator app."""

    def __init__(self, secret: str) -> None:
        self.secret = secret

    def code(self, offset: int = 0) -> str:
        before, now, after = yield_hotp_counters_from_time()
        return format_hotp_value(hotp_value(self.secret, {-1: before, 0: now, 1: after}[offset]))


def with_app(mailoutbox: Outbox) -> tuple[Browser, str, App, list[str]]:
    """A person with an app set up, and their recovery codes."""
    browser, address = a_person(mailoutbox)
    browser.again()
    page = browser.get("/accounts/2fa/totp/activate/")
    app = App(page.context["form"].secret)
    codes_page = browser.post("/accounts/2fa/totp/activate/", {"code": app.code()}, follow=True)
    assert codes_page.redirect_chain[-1][0] == "/accounts/2fa/recovery-codes/"
    codes = re.findall(r"\b\d{8}\b", codes_page.content.decode())
    return browser, address, app, codes


def half_way(address: str, **fields: str) -> Browser:
    """A browser in which the password was right."""
    browser = Browser()
    answer = browser.sign_in(address, **fields)
    assert answer.headers["Location"] == "/accounts/2fa/authenticate/"
    return browser


def give(browser: Browser, code: str) -> Any:
    return browser.post("/accounts/2fa/authenticate/", {"code": code})


def test_with_an_app_the_password_alone_is_not_enough(mailoutbox: Outbox) -> None:
    _, address, app, _ = with_app(mailoutbox)

    browser = half_way(address)
    assert not browser.is_signed_in
    assert browser.get("/accounts/profile/").status_code == 302
    give(browser, app.code(1))

    assert browser.is_signed_in


def test_a_code_works_once(mailoutbox: Outbox) -> None:
    _, address, app, _ = with_app(mailoutbox)
    code = app.code(1)
    give(half_way(address), code)
    # allauth's own note of it is gone after 30 seconds, the code is valid for longer.
    user = User.objects.get(email=address)
    cache.delete(f"allauth.mfa.totp.used?user={user.pk}&code={code}")

    browser = half_way(address)
    answer = give(browser, code)

    assert not browser.is_signed_in
    assert "This code is not valid" in answer.content.decode()


def test_a_recovery_code_works_once(mailoutbox: Outbox) -> None:
    _, address, _, codes = with_app(mailoutbox)
    assert len(codes) == 10

    first = half_way(address)
    give(first, codes[0])
    second = half_way(address)
    give(second, codes[0])

    assert first.is_signed_in
    assert not second.is_signed_in


def test_codes_cannot_be_guessed_for_long(mailoutbox: Outbox) -> None:
    _, address, app, _ = with_app(mailoutbox)
    browser = half_way(address)
    for guess in range(6):
        give(browser, f"{guess:06}")

    answer = give(browser, app.code(1))

    assert not browser.is_signed_in
    assert "Wait five minutes" in answer.content.decode()


def test_the_admins_door_asks_for_the_second_factor_too(mailoutbox: Outbox) -> None:
    _, address, app, _ = with_app(mailoutbox)
    User.objects.filter(email=address).update(is_staff=True, is_superuser=True)
    browser = Browser()

    answer = browser.post("/admin/login/", {"username": address, "password": PASSWORD})
    assert answer.headers["Location"] == "/accounts/2fa/authenticate/"
    assert browser.get("/admin/").status_code == 302
    answer = give(browser, app.code(1))

    assert answer.headers["Location"] == "/admin/"
    assert browser.get("/admin/").status_code == 200


def test_a_new_password_by_mail_does_not_get_around_it(mailoutbox: Outbox) -> None:
    _, address, _, _ = with_app(mailoutbox)
    thief = Browser()
    thief.post("/accounts/password/reset/", {"email": address})
    form = thief.get(link_in(mailoutbox[-1])).headers["Location"]

    answer = thief.post(form, {"password1": "of-the-thief-1", "password2": "of-the-thief-1"})

    assert answer.headers["Location"] == "/accounts/2fa/authenticate/"
    assert not thief.is_signed_in


def test_the_page_that_was_asked_for_comes_after_the_second_step(mailoutbox: Outbox) -> None:
    _, address, app, _ = with_app(mailoutbox)

    inside = give(half_way(address, next="/accounts/sessions/"), app.code(1))

    assert inside.headers["Location"] == "/accounts/sessions/"


def test_the_second_step_never_leads_to_another_site(mailoutbox: Outbox) -> None:
    _, address, app, _ = with_app(mailoutbox)

    answer = give(half_way(address, next="https://evil.example/"), app.code(1))

    assert answer.headers["Location"] == "/"


def test_the_secret_is_not_readable_in_the_database(mailoutbox: Outbox) -> None:
    _, address, app, codes = with_app(mailoutbox)

    kept = str(
        list(Authenticator.objects.filter(user__email=address).values_list("data", flat=True))
    )

    assert app.secret not in kept
    assert not any(code in kept for code in codes)


def test_taking_the_app_away_needs_the_person_and_tells_them(mailoutbox: Outbox) -> None:
    browser, address, _, _ = with_app(mailoutbox)
    session = browser.session
    session.pop("account_authentication_methods")
    session.save()

    answer = browser.post("/accounts/2fa/totp/deactivate/")
    assert "reauthenticate" in answer.headers["Location"]
    assert Authenticator.objects.filter(user__email=address).exists()

    browser.again()
    browser.post("/accounts/2fa/totp/deactivate/")
    assert not Authenticator.objects.filter(user__email=address).exists()
    assert "taken away" in mailoutbox[-1].subject


def test_the_operator_helps_somebody_who_has_lost_phone_and_codes(mailoutbox: Outbox) -> None:
    _, address, _, _ = with_app(mailoutbox)

    call_command("reset_second_factor", address.upper(), stdout=StringIO())

    browser = Browser()
    browser.sign_in(address)
    assert browser.is_signed_in


def test_a_wrong_code_sets_nothing_up(mailoutbox: Outbox) -> None:
    browser, address = a_person(mailoutbox)
    browser.again()
    browser.get("/accounts/2fa/totp/activate/")

    page = browser.post("/accounts/2fa/totp/activate/", {"code": "000000"}).content.decode()

    assert "This code is not valid" in page
    assert not Authenticator.objects.filter(user__email=address).exists()


@pytest.mark.parametrize("path", ["", "download/"])
def test_recovery_codes_are_not_shown_to_whoever_finds_an_open_browser(
    mailoutbox: Outbox, path: str
) -> None:
    browser, _, _, codes = with_app(mailoutbox)
    session = browser.session
    session.pop("account_authentication_methods")
    session.save()

    answer = browser.get(f"/accounts/2fa/recovery-codes/{path}")

    assert answer.status_code in (302, 403)
    assert codes[0].encode() not in answer.content


def test_recovery_codes_are_not_for_other_people(mailoutbox: Outbox) -> None:
    _, _, _, codes = with_app(mailoutbox)
    stranger, _ = a_person(mailoutbox)

    for path in ("", "download/"):
        answer = stranger.get(f"/accounts/2fa/recovery-codes/{path}")
        assert answer.status_code == 404
        assert codes[0].encode() not in answer.content
