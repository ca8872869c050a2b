"""The mail stand-in, over its own protocols."""

import asyncio
import smtplib
from collections.abc import Iterator
from contextlib import contextmanager
from email.message import EmailMessage
from pathlib import Path
from threading import Thread
from typing import Any

import pytest
import requests
from aiohttp import web

from sandbox.mail import smtp, store
from sandbox.mail.pages import linked, make_app
from sandbox.mail.store import Store


class Server:
    smtp_port: int
    url: str

    def send(self, subject: str = "Hello", text: str = "Hi there", **headers: str) -> None:
        message = EmailMessage()
        message["From"] = "AgentFlare <no-reply@x.test>"
        message["To"] = headers.get("to", "ann@x.test")
        message["Subject"] = subject
        message.set_content(text)
        if html := headers.get("html"):
            message.add_alternative(html, subtype="html")
        with smtplib.SMTP("127.0.0.1", self.smtp_port) as client:
            client.send_message(message)

    def mails(self, **query: str) -> list[dict[str, Any]]:
        answer = requests.get(f"{self.url}/mails.json", params=query, timeout=5)
        return list(answer.json()["mails"])


@contextmanager
def serving(folder: Path) -> Iterator[Server]:
    server, loop = Server(), asyncio.new_event_loop()

    kept = Store(folder)
    runner = web.AppRunner(make_app(kept), shutdown_timeout=0.1)

    async def start() -> None:
        listener = await smtp.serve("127.0.0.1", 0, kept.add)
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        server.smtp_port = listener.sockets[0].getsockname()[1]
        server.url = f"http://127.0.0.1:{runner.addresses[0][1]}"

    loop.run_until_complete(start())
    thread = Thread(target=loop.run_forever, daemon=True)
    thread.start()
    yield server
    asyncio.run_coroutine_threadsafe(runner.cleanup(), loop).result()
    loop.call_soon_threadsafe(loop.stop)
    thread.join()
    loop.close()


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Server]:
    with serving(tmp_path) as running:
        yield running


def test_mails_are_listed_newest_first(server: Server) -> None:
    server.send("First")
    server.send("Grüße – second", to="ben@x.test")

    assert [mail["subject"] for mail in server.mails()] == ["Grüße – second", "First"]
    assert [mail["recipients"] for mail in server.mails(to="BEN@x.test")] == [["ben@x.test"]]
    page = requests.get(server.url, timeout=5).text
    assert page.index("Grüße – second") < page.index("First")


def test_links_can_be_followed_and_nothing_else_of_a_mail_is_markup(server: Server) -> None:
    url = "http://localhost:8000/accounts/confirm-email/MQ:1x-_y/?a=1&b=2"
    server.send("<b>&", f"Go to {url}.\n<script>alert(1)</script>", html="<img src=x onerror=y>")

    mail = server.mails()[0]
    page = requests.get(f"{server.url}/mails/{mail['number']}", timeout=5)

    assert mail["text"].startswith(f"Go to {url}.")
    assert f'<a href="{url.replace("&", "&amp;")}">' in page.text
    assert "<script" not in page.text
    assert "<img" not in page.text
    assert "&lt;img src=x onerror=y&gt;" in page.text
    assert "default-src 'none'" in page.headers["Content-Security-Policy"]


def test_a_link_ends_before_the_sentence_does() -> None:
    assert linked("See (https://x.test/a).") == (
        'See (<a href="https://x.test/a">https://x.test/a</a>).'
    )
    assert "<a" not in linked("javascript:alert(1) and x.test")


def test_lines_that_begin_with_a_dot_stay_as_they_were(server: Server) -> None:
    server.send(text=".\n..two\nend")

    assert server.mails()[0]["text"].splitlines() == [".", "..two", "end"]


def test_a_restart_forgets_nothing(tmp_path: Path) -> None:
    with serving(tmp_path) as first:
        first.send("Before")
    with serving(tmp_path) as second:
        second.send("After")

        assert [mail["subject"] for mail in second.mails()] == ["After", "Before"]


def test_the_oldest_give_way(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(store, "KEPT", 2)
    for number in range(3):
        server.send(f"Mail {number}")

    assert [mail["subject"] for mail in server.mails()] == ["Mail 2", "Mail 1"]
    assert requests.get(f"{server.url}/mails/1", timeout=5).status_code == 404


def test_an_empty_mailbox_says_so_and_can_be_made_empty(server: Server) -> None:
    server.send()
    requests.delete(f"{server.url}/mails.json", timeout=5)

    assert server.mails() == []
    assert "Nothing has been mailed yet" in requests.get(server.url, timeout=5).text


def test_what_is_no_mail_is_refused(server: Server) -> None:
    with smtplib.SMTP("127.0.0.1", server.smtp_port) as client:
        client.ehlo()
        assert client.docmd("DATA")[0] == 503
        assert client.docmd("RCPT", "TO:<a@x.test>")[0] == 503
        assert client.docmd("MAIL", "FROM:<a@x.test>")[0] == 250
        assert client.docmd("RCPT", "TO:nobody")[0] == 501
        assert client.docmd("AUTH", "PLAIN")[0] == 502

    assert server.mails() == []
