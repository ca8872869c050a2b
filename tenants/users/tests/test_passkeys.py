"""Passkeys: in place of the password, and beside it."""

import json
from typing import Any

import pytest
from allauth.mfa.models import Authenticator
from django.core.mail import EmailMessage

from tenants.users.models import User
from tenants.users.tests.passkey import Passkey
from tenants.users.tests.people import Browser, a_person

Outbox = list[EmailMessage]
ADD = "/accounts/2fa/webauthn/add/"
LOGIN = "/accounts/2fa/webauthn/login/"
STEP = "/accounts/2fa/authenticate/"


@pytest.fixture(autouse=True)
def _open(settings: Any, _database: None) -> None:
    settings.SIGNUP_OPEN = True


def plain(options: Any) -> dict[str, Any]:
    """Options as the page hands them to the browser."""
    from django.core.serializers.json import DjangoJSONEncoder

    return dict(json.loads(json.dumps(options, cls=DjangoJSONEncoder)))


def add(browser: Browser, passkey: Passkey, **fields: str) -> Any:
    options = plain(browser.get(ADD).context["js_data"])["creation_options"]
    form = {"name": "Laptop", "credential": passkey.register(options), "passwordless": "on"}
    return browser.post(ADD, {**form, **fields})


def with_passkey(mailoutbox: Outbox) -> tuple[Browser, str, Passkey]:
    browser, address = a_person(mailoutbox)
    browser.again()
    passkey = Passkey()
    assert add(browser, passkey).headers["Location"] == "/accounts/2fa/recovery-codes/"
    return browser, address, passkey


def asked(browser: Browser) -> dict[str, Any]:
    """What the sign-in page gets from us before it asks the device."""
    return plain(browser.get(LOGIN, HTTP_ACCEPT="application/json").json())["request_options"]


def test_a_passkey_signs_in_alone(mailoutbox: Outbox) -> None:
    _, address, passkey = with_passkey(mailoutbox)
    browser = Browser()

    answer = browser.post(LOGIN, {"credential": passkey.sign(asked(browser))})

    assert browser.is_signed_in
    assert answer.headers["Location"] == "/"
    assert browser.get("/accounts/profile/").context["user"].email == address


def test_a_passkey_is_the_second_step_after_a_password(mailoutbox: Outbox) -> None:
    _, address, passkey = with_passkey(mailoutbox)
    browser = Browser()
    answer = browser.sign_in(address)
    assert answer.headers["Location"] == STEP
    options = plain(browser.get(STEP).context["js_data"])["request_options"]

    browser.post(STEP, {"credential": passkey.sign(options)})

    assert browser.is_signed_in


def test_an_answer_of_a_passkey_works_once(mailoutbox: Outbox) -> None:
    _, _, passkey = with_passkey(mailoutbox)
    first, second = Browser(), Browser()
    answer = passkey.sign(asked(first))
    first.post(LOGIN, {"credential": answer})
    asked(second)

    second.post(LOGIN, {"credential": answer})

    assert first.is_signed_in
    assert not second.is_signed_in


def test_without_the_devices_own_check_it_does_not_sign_in_alone(mailoutbox: Outbox) -> None:
    _, _, passkey = with_passkey(mailoutbox)
    browser = Browser()

    browser.post(LOGIN, {"credential": passkey.sign(asked(browser), verified=False)})

    assert not browser.is_signed_in


def test_another_persons_passkey_opens_only_their_own_account(mailoutbox: Outbox) -> None:
    _, address, mine = with_passkey(mailoutbox)
    _, _, theirs = with_passkey(mailoutbox)
    theirs.user = mine.user
    alone, second = Browser(), Browser()

    alone.post(LOGIN, {"credential": theirs.sign(asked(alone))})
    second.sign_in(address)
    options = plain(second.get(STEP).context["js_data"])["request_options"]
    second.post(STEP, {"credential": theirs.sign(options)})

    assert not alone.is_signed_in
    assert not second.is_signed_in


def test_a_passkey_for_another_site_is_refused(mailoutbox: Outbox) -> None:
    browser, address = a_person(mailoutbox)
    browser.again()

    answer = add(browser, Passkey(site="evil.example"))

    assert answer.status_code == 200
    assert not Authenticator.objects.filter(user__email=address).exists()


NONSENSE = [
    *["", "{}", "nonsense", '{"response": {"userHandle": "!"}}', "[]", "9" * 5000, "[" * 100_000],
    '"\\ud800"',
]


@pytest.mark.parametrize("credential", NONSENSE)
def test_nonsense_is_refused_and_not_our_fault(mailoutbox: Outbox, credential: str) -> None:
    browser = Browser()
    asked(browser)

    answer = browser.post(LOGIN, {"credential": credential})

    assert answer.status_code == 302
    assert not browser.is_signed_in


@pytest.mark.parametrize(
    ("member", "value"),
    [
        ("id", "another"),
        ("rawId", None),
        ("rawId", "\ud800"),
        ("clientExtensionResults", "text"),
        ("response", {"clientDataJSON": "MQ", "attestationObject": "oA"}),
        ("response", {"clientDataJSON": 10**30, "attestationObject": ""}),
        ("response", {}),
    ],
)
def test_a_new_passkey_that_is_none_is_refused(
    mailoutbox: Outbox, member: str, value: object
) -> None:
    browser, address = a_person(mailoutbox)
    browser.again()
    options = plain(browser.get(ADD).context["js_data"])["creation_options"]
    credential = json.loads(Passkey().register(options))

    sent = [json.dumps({**credential, member: value}), *NONSENSE]
    answers = [browser.post(ADD, {"name": "x", "credential": each}) for each in sent]

    assert [answer.status_code for answer in answers] == [200] * len(sent)
    assert not Authenticator.objects.filter(user__email=address).exists()


def test_a_deactivated_person_does_not_come_in_by_passkey(mailoutbox: Outbox) -> None:
    _, address, passkey = with_passkey(mailoutbox)
    User.objects.filter(email=address).update(is_active=False)
    browser = Browser()

    page = browser.post(LOGIN, {"credential": passkey.sign(asked(browser))}, follow=True)

    assert "This account is closed" in page.content.decode()


def test_signing_in_by_passkey_never_leads_to_another_site(mailoutbox: Outbox) -> None:
    _, _, passkey = with_passkey(mailoutbox)
    browser = Browser()
    fields = {"credential": passkey.sign(asked(browser)), "next": "https://evil.example/"}

    assert browser.post(LOGIN, fields).headers["Location"] == "/"


def test_passkeys_are_renamed_and_removed_by_their_owner_alone(mailoutbox: Outbox) -> None:
    browser, address, _ = with_passkey(mailoutbox)
    stranger, _ = a_person(mailoutbox)
    stranger.again()
    key = Authenticator.objects.get(user__email=address, type=Authenticator.Type.WEBAUTHN)
    page = f"/accounts/2fa/webauthn/keys/{key.pk}"

    assert stranger.post(f"{page}/remove/").status_code == 404
    assert stranger.post(f"{page}/edit/", {"name": "Mine"}).status_code == 404
    browser.post(f"{page}/edit/", {"name": "<b>Work"})
    assert "&lt;b&gt;Work" in browser.get("/accounts/2fa/webauthn/").content.decode()
    browser.post(f"{page}/remove/")

    assert not Authenticator.objects.filter(user__email=address).exists()
    assert "removed" in mailoutbox[-1].subject
