"""What every page must have in its headers and may not have in its markup, and what cookies are."""

import os
import re
import subprocess
import sys
from typing import Any

import pytest
from django.conf import settings
from django.test import Client

from inference.tests.furnished import Address, Furnished, every_address
from tenants.users.models import Role

pytestmark = pytest.mark.slow  # every page

NO_PAGES = ("v1/", "health/", "webhooks/stripe", "metrics")
INLINE = re.compile(
    r"<script(?![^>]*\ssrc=)(?![^>]*type=\"application/(?:ld\+)?json\")[^>]*>\s*\S"
    r"|<[^>]+\son[a-z]+\s*=|<[^>]+\sstyle\s*=|<style|(?:href|src|action)=\"\s*javascript:",
    re.IGNORECASE,
)


def pages() -> list[Address]:
    return [each for each in every_address() if not each.route.startswith((*NO_PAGES, "admin/"))]


def opened(ours: Furnished, client: Client) -> list[tuple[Address, Any]]:
    ids = {"token": "x:y", "key": "x", "uidb36": "x", "pk": 1, **ours.ours, **ours.shared}
    answers = []
    for address in pages():
        answer = client.get(address.at(ours.slug, ids))
        if answer.streaming:
            answer.streaming_content = list(answer.streaming_content)
        answers.append((address, answer))
    return answers


@pytest.mark.parametrize("who", ["a member", "nobody"])
def test_every_page_says_how_it_may_be_shown(ours: Furnished, who: str) -> None:
    client = ours.client_of(Role.OWNER) if who == "a member" else Client()
    for address, answer in opened(ours, client):
        headers = answer.headers
        policy = dict(
            part.strip().split(" ", 1) for part in headers["Content-Security-Policy"].split(";")
        )
        assert policy["default-src"] == "'self'", address
        assert "unsafe" not in headers["Content-Security-Policy"], address
        assert "script-src" not in policy, address
        assert (policy["frame-ancestors"], policy["object-src"]) == ("'none'", "'none'"), address
        assert (policy["base-uri"], policy["form-action"]) == ("'self'", "'self'"), address
        assert headers["X-Frame-Options"] == "DENY", address
        assert headers["X-Content-Type-Options"] == "nosniff", address
        assert headers["Referrer-Policy"] == "same-origin", address
        assert headers["Cross-Origin-Opener-Policy"] == "same-origin", address
        assert "Access-Control-Allow-Origin" not in headers, address
        if who == "a member":
            assert "no-store" in headers.get("Cache-Control", ""), address


def test_no_page_needs_a_script_or_style_in_its_markup(ours: Furnished) -> None:
    """The policy would keep them from running; so nothing may depend on one."""
    seen = 0
    for client in (ours.client_of(Role.OWNER), Client()):
        for address, answer in opened(ours, client):
            if answer.headers.get("Content-Type", "").startswith("text/html") and answer.content:
                seen += 1
                found = INLINE.search(answer.content.decode())
                assert found is None, (address, found)
    assert seen > 60


def test_cookies_are_for_this_site_and_no_script(ours: Furnished) -> None:
    client = Client()
    client.get("/accounts/login/")
    form = {"login": ours.cast.owner.email, "password": ours.cast.password}
    client.post("/accounts/login/", form)
    session, csrf = client.cookies["sessionid"], client.cookies["csrftoken"]
    assert session["httponly"]
    assert (session["samesite"], csrf["samesite"]) == ("Lax", "Lax")
    # Of this host alone.
    assert not session["domain"]
    assert not csrf["domain"]


@pytest.mark.parametrize(("scheme", "secure"), [("https", "True"), ("http", "False")])
def test_over_https_cookies_go_nowhere_else(scheme: str, secure: str) -> None:
    code = (
        "from agentflare import settings as s; print(s.SESSION_COOKIE_SECURE, "
        "s.CSRF_COOKIE_SECURE, s.SECURE_HSTS_SECONDS > 0)"
    )
    told = subprocess.run(
        [sys.executable, "-c", code],
        env={**os.environ, "AGENTFLARE_URL": f"{scheme}://agents.example", "SECRET_KEY": "x"},
        cwd=settings.BASE_DIR,
        capture_output=True,
        text=True,
        check=True,
    )
    assert told.stdout.split() == [secure] * 3
