"""A person at a browser, and their mail, for tests of accounts."""

import re
from itertools import count
from typing import Any
from uuid import uuid4

from django.core.mail import EmailMessage
from django.test import Client

PASSWORD = "a-longer-passphrase"

_browsers = count(1)


class Browser(Client):
    """A browser on a network of its own, so that no other test's attempts count here."""

    def __init__(self, **options: Any) -> None:
        number = next(_browsers)
        address = f"10.{uuid4().int % 250}.{number // 250 % 250}.{number % 250}"
        super().__init__(REMOTE_ADDR=address, **options)

    def sign_up(self, email: str, password: str = PASSWORD, **fields: str) -> Any:
        return self.post("/accounts/signup/", {"email": email, "password1": password, **fields})

    def sign_in(self, email: str, password: str = PASSWORD, **fields: str) -> Any:
        return self.post("/accounts/login/", {"login": email, "password": password, **fields})

    def again(self, password: str = PASSWORD) -> Any:
        """Prove once more who sits there, for what changes how one signs in."""
        return self.post("/accounts/reauthenticate/", {"password": password})

    @property
    def is_signed_in(self) -> bool:
        return "_auth_user_id" in self.session


def new_address() -> str:
    return f"ann-{uuid4().hex[:10]}@people.test"


def link_in(mail: EmailMessage) -> str:
    """The path of the first link; the host is checked."""
    found = re.search(r"http://localhost:8000(/\S+)", str(mail.body))
    assert found, mail.body
    return found[1]


def a_person(outbox: list[EmailMessage], email: str = "") -> tuple[Browser, str]:
    """Signed up, confirmed and signed in."""
    browser, address = Browser(), email or new_address()
    browser.sign_up(address)
    browser.post(link_in(outbox[-1]))
    assert browser.is_signed_in
    return browser, address
