"""The pages of accounts in a real browser."""

import base64
import hashlib
import hmac
import re
import struct
import time
from typing import Any
from urllib.parse import urlsplit
from uuid import uuid4

import pytest
import requests
from playwright.sync_api import Page, expect

PASSWORD = "a-longer-passphrase"

OUTSIDE = ["login/", "signup/", "password/reset/", "confirm-email/broken:link/", "inactive/"]
INSIDE = [
    "profile/",
    "email/",
    "password/change/",
    "2fa/",
    "2fa/webauthn/",
    "2fa/webauthn/add/",
    "2fa/totp/activate/",
    "sessions/",
    "logout/",
]


def mailed_to(gateway: Any, address: str) -> list[str]:
    """The texts of the mails, newest first."""
    mailbox = gateway.sandbox.env["MAILBOX_URL"]
    answer = requests.get(f"{mailbox}mails.json", params={"to": address}, timeout=5)
    return [mail["text"] for mail in answer.json()["mails"]]


def link_in(text: str) -> str:
    """The path of its first link."""
    found = re.search(r"https?://\S+/accounts/\S+", text)
    assert found, text
    return urlsplit(found[0]).path


def sign_up(gateway: Any, visit: Any) -> str:
    address = f"ann-{uuid4().hex[:10]}@people.test"
    page = visit.goto("/accounts/signup/")
    page.get_by_label("E-mail address").fill(address)
    page.get_by_label("Password").fill(PASSWORD)
    page.get_by_role("button", name="Create an account").click()
    expect(page.get_by_role("heading", name="Check your mail")).to_be_visible()
    page = visit.goto(link_in(mailed_to(gateway, address)[0]))
    page.get_by_role("button", name="Yes, confirm it").click()
    expect(page.get_by_role("heading", name="Name your workspace")).to_be_visible()
    return address


def prove_it_is_me(page: Page) -> None:
    page.get_by_label("Your password").fill(PASSWORD)
    page.get_by_role("button", name="Go on").click()


@pytest.mark.parametrize("path", OUTSIDE)
def test_pages_for_those_outside_are_good(any_visit: Any, path: str) -> None:
    any_visit.goto(f"/accounts/{path}")

    any_visit.expect_good_page()


def test_pages_of_an_account_are_good(gateway: Any, any_visit: Any) -> None:
    cast = gateway.cast(name="accounts")
    page = any_visit.goto("/accounts/login/")
    page.get_by_label("E-mail address").fill(cast.owner.email)
    page.get_by_label("Password", exact=True).fill(cast.password)
    page.get_by_role("button", name="Sign in", exact=True).click()
    page.wait_for_url("**/t/**")

    for path in INSIDE:
        any_visit.goto(f"/accounts/{path}")
        if "reauthenticate" in page.url:
            any_visit.expect_good_page()
            page.get_by_label("Your password").fill(cast.password)
            page.get_by_role("button", name="Go on").click()
            page.wait_for_url(f"**/accounts/{path}")
        any_visit.expect_good_page()


def test_an_app_is_set_up_and_asked_for(gateway: Any, visit: Any) -> None:
    address = sign_up(gateway, visit)
    page = visit.goto("/accounts/2fa/")
    page.get_by_role("link", name="Set up an app").click()
    prove_it_is_me(page)
    secret = page.locator("#totp-secret").inner_text().strip()
    page.get_by_label("Code that the app shows now").fill(code_of(secret))
    page.get_by_role("button", name="Turn it on").click()
    codes = page.locator("#recovery-codes").inner_text().split()
    visit.expect_good_page()
    assert len(codes) == 10

    page.get_by_role("button", name="Sign out").click()
    page.get_by_label("E-mail address").fill(address)
    page.get_by_label("Password", exact=True).fill(PASSWORD)
    page.get_by_role("button", name="Sign in", exact=True).click()
    expect(page.get_by_role("heading", name="Second step")).to_be_visible()
    visit.expect_good_page()
    page.get_by_label("Code from your app").fill(codes[0])
    page.get_by_role("button", name="Sign in", exact=True).click()

    expect(page.get_by_role("heading", name="Name your workspace")).to_be_visible()


def test_a_passkey_is_added_and_signs_in(gateway: Any, visit: Any) -> None:
    visit.base_url = visit.base_url.replace("127.0.0.1", "localhost")  # no passkeys for an IP
    sign_up(gateway, visit)
    page = visit.page
    device = visit.context.new_cdp_session(page)
    device.send("WebAuthn.enable")
    options = {
        "protocol": "ctap2",
        "transport": "internal",
        "hasResidentKey": True,
        "hasUserVerification": True,
        "isUserVerified": True,
        "automaticPresenceSimulation": True,
    }
    device.send("WebAuthn.addVirtualAuthenticator", {"options": options})
    visit.goto("/accounts/2fa/webauthn/")
    page.get_by_role("link", name="Add a passkey").click()
    prove_it_is_me(page)
    page.get_by_label("Name", exact=True).fill("Test device")
    page.get_by_role("button", name="Add it").click()
    expect(page.get_by_role("heading", name="Recovery codes")).to_be_visible()
    visit.goto("/accounts/2fa/webauthn/")
    expect(page.get_by_text("Test device")).to_be_visible()
    visit.expect_good_page()

    page.get_by_role("button", name="Sign out").click()
    page.get_by_role("button", name="Sign in with a passkey").click()

    expect(page.get_by_role("heading", name="Name your workspace")).to_be_visible()


def test_a_device_that_refuses_is_told_in_words(visit: Any) -> None:
    page = visit.goto("/accounts/login/")
    page.evaluate(
        "() => { navigator.credentials.get = () => "
        "Promise.reject(new DOMException('', 'NotAllowedError')); }"
    )

    page.get_by_role("button", name="Sign in with a passkey").click()

    expect(page.get_by_role("alert")).to_contain_text("was not allowed to use a passkey")


def test_a_lost_password_is_set_anew(gateway: Any, visit: Any) -> None:
    cast = gateway.cast(name="lost")
    page = visit.goto("/accounts/login/")
    page.get_by_role("link", name="Forgot your password?").click()
    page.get_by_label("E-mail address").fill(cast.owner.email)
    page.get_by_role("button", name="Send the link").click()
    expect(page.get_by_role("heading", name="Check your mail")).to_be_visible()

    visit.goto(link_in(mailed_to(gateway, cast.owner.email)[0]))
    visit.expect_good_page()
    page.get_by_label("New password", exact=True).fill("quite-another-one")
    page.get_by_label("New password, again").fill("quite-another-one")
    page.get_by_role("button", name="Set the password").click()

    expect(page).to_have_url(re.compile(rf"/t/{cast.tenant.slug}/"))


def code_of(secret: str) -> str:
    """As an authenticator app computes it (RFC 6238)."""
    counter = struct.pack(">Q", int(time.time()) // 30)
    digest = hmac.new(base64.b32decode(secret), counter, hashlib.sha1).digest()
    start = digest[-1] & 15
    (number,) = struct.unpack(">I", digest[start : start + 4])
    return f"{(number & 0x7FFFFFFF) % 10**6:06}"
