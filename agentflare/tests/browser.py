"""Pages in a real Chromium: fixtures for all apps' tests.

Debian's Chromium, or any other that is installed. Where there is none the tests are skipped and
the end of the run says so loudly; with BROWSER_REQUIRED set (CI) they fail.
"""

import asyncio
import os
import shutil
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import pytest
from axe_playwright_python.base import AXE_SCRIPT, AxeResults
from playwright.sync_api import Browser, BrowserContext, ConsoleMessage, Page, ViewportSize

NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
# Chromium as root needs --no-sandbox; the rest keeps it from calling its maker's servers.
ARGUMENTS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]
_HIDDEN = pytest.StashKey[Any]()
PHONE: ViewportSize = {"width": 390, "height": 844}
DESK: ViewportSize = {"width": 1280, "height": 900}
WCAG = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa"]
# Those of them that ask about colours.
COLOUR_RULES = ["color-contrast", "link-in-text-block"]


def chromium() -> str | None:
    """The path of a Chromium: CHROMIUM, or the first one found."""
    return os.environ.get("CHROMIUM") or next(filter(None, map(shutil.which, NAMES)), None)


def pytest_configure() -> None:
    # In a test of pages Playwright's event loop runs in our thread; our ORM calls are not in it.
    os.environ["DJANGO_ALLOW_ASYNC_UNSAFE"] = "true"


@pytest.hookimpl(wrapper=True)
def pytest_runtest_protocol(item: pytest.Item, nextitem: pytest.Item | None) -> Iterator[None]:
    """Hide Playwright's event loop, which runs until the end, from tests that need none or their
    own."""
    loop = asyncio._get_running_loop()
    if loop is None or "playwright" in getattr(item, "fixturenames", ()):
        return (yield)
    item.config.stash[_HIDDEN] = loop
    asyncio._set_running_loop(None)
    try:
        return (yield)
    finally:
        asyncio._set_running_loop(loop)
        del item.config.stash[_HIDDEN]


@pytest.hookimpl(wrapper=True)
def pytest_runtest_teardown(item: pytest.Item, nextitem: pytest.Item | None) -> Iterator[None]:
    """With the last test the browser is closed."""
    if nextitem is None:
        asyncio._set_running_loop(item.config.stash.get(_HIDDEN, asyncio._get_running_loop()))
    return (yield)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Without a browser, leave out what needs one."""
    if chromium() or os.environ.get("BROWSER_REQUIRED"):
        return
    for item in items:
        if {"visit", "any_visit"} & set(getattr(item, "fixturenames", ())):
            item.add_marker(pytest.mark.skip(reason="NO BROWSER: install Chromium"))


def pytest_terminal_summary(terminalreporter: Any) -> None:
    skipped = terminalreporter.stats.get("skipped", [])
    count = sum("NO BROWSER" in str(report.longrepr) for report in skipped)
    if count:
        terminalreporter.section("NO BROWSER", red=True)
        terminalreporter.line(
            f"{count} tests of pages did not run: there is no Chromium here. Install it "
            "(Debian: apt-get install chromium), or name one in CHROMIUM.",
            red=True,
        )


@pytest.fixture(scope="session")
def browser_type_launch_args(browser_type_launch_args: dict[str, Any]) -> dict[str, Any]:
    path = chromium()
    assert path, "no Chromium is installed, and BROWSER_REQUIRED is set"
    return {**browser_type_launch_args, "executable_path": path, "args": ARGUMENTS}


@dataclass
class Visit:
    """Somebody's browser at the running product. What goes wrong in a page fails the test."""

    page: Page
    context: BrowserContext
    base_url: str
    has_night: bool = False
    complaints: list[str] = field(default_factory=list)

    def goto(self, path: str) -> Page:
        self.page.goto(self.base_url + path)
        return self.page

    def sign_in(self, user: Any) -> None:
        """As the sign-in page does, without the page."""
        from django.conf import settings
        from django.contrib.auth import HASH_SESSION_KEY, SESSION_KEY
        from django.contrib.auth.models import update_last_login
        from django.contrib.sessions.backends.db import SessionStore

        session = SessionStore()
        session[SESSION_KEY] = str(user.pk)
        session["_auth_user_backend"] = settings.AUTHENTICATION_BACKENDS[0]
        session[HASH_SESSION_KEY] = user.get_session_auth_hash()
        session.save()
        update_last_login(None, user)
        cookie = {"name": settings.SESSION_COOKIE_NAME, "value": session.session_key}
        self.context.add_cookies([{**cookie, "url": self.base_url}])

    def expect_good_page(self) -> None:
        """No breach of WCAG 2.1 AA that axe-core finds, and nothing wider than the window; with
        `has_night` the colours also by night, where nothing else differs."""
        self.page.wait_for_load_state()
        self._expect_no_breach({"runOnly": WCAG})
        self._expect_nothing_wider()
        if self.has_night:
            self.page.emulate_media(color_scheme="dark")
            self._expect_no_breach({"runOnly": {"type": "rule", "values": COLOUR_RULES}})
            self.page.emulate_media(color_scheme="light")

    def expect_good_page_everywhere(self) -> None:
        """By day, by night, and on a phone, for pages that have nothing to be clicked."""
        self.has_night = True
        self.expect_good_page()
        self.has_night = False
        screen = self.context.new_cdp_session(self.page)
        screen.send("Emulation.setDeviceMetricsOverride", _metrics(PHONE, is_mobile=True))
        self.page.wait_for_load_state()
        # The colours are the same, and most of the work.
        off = {rule: {"enabled": False} for rule in COLOUR_RULES}
        self._expect_no_breach({"runOnly": WCAG, "rules": off})
        self._expect_nothing_wider()
        screen.send("Emulation.setDeviceMetricsOverride", _metrics(DESK, is_mobile=False))
        screen.detach()

    def _expect_no_breach(self, options: dict[str, Any]) -> None:
        if not self.page.evaluate("'axe' in window"):
            self.page.evaluate(AXE_SCRIPT)
        # What is right as well would be most of the work.
        found = self.page.evaluate(
            "options => axe.run(options).then(({violations}) => ({violations}))",
            {**options, "resultTypes": ["violations"]},
        )
        assert not found["violations"], AxeResults(found).generate_report()

    def _expect_nothing_wider(self) -> None:
        width = self.page.evaluate("document.documentElement.scrollWidth - innerWidth")
        assert width <= 0, f"{self.page.url} is {width} px wider than the window"

    def note(self, message: ConsoleMessage) -> None:
        if message.type in {"error", "warning"}:
            self.complaints.append(f"{message.type}: {message.text}")


@pytest.fixture
def visit(gateway: Any, browser: Browser) -> Iterator[Visit]:
    """A desk's window, by day."""
    yield from _visit(gateway.url, browser, viewport=DESK)


@pytest.fixture(params=["desk", "phone"])
def any_visit(
    request: pytest.FixtureRequest,
    gateway: Any,
    browser: Browser,
) -> Iterator[Visit]:
    """The same twice: at a desk, where pages must be good by night too, and on a phone."""
    if request.param == "phone":
        options = {"viewport": PHONE, "is_mobile": True, "has_touch": True}
        yield from _visit(gateway.url, browser, **options)
    else:
        yield from _visit(gateway.url, browser, has_night=True, viewport=DESK)


def _visit(
    url: str, browser: Browser, *, has_night: bool = False, **options: Any
) -> Iterator[Visit]:
    # Without transitions: the colours are there at once.
    context = browser.new_context(reduced_motion="reduce", **options)
    context.set_default_timeout(15_000)
    visit = Visit(context.new_page(), context, url, has_night=has_night)
    visit.page.on("console", visit.note)
    visit.page.on("pageerror", lambda error: visit.complaints.append(str(error)))
    yield visit
    context.close()
    assert visit.complaints == []


def _metrics(size: ViewportSize, *, is_mobile: bool) -> dict[str, Any]:
    return {**size, "deviceScaleFactor": 1, "mobile": is_mobile}
