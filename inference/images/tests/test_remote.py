"""Fetching images from servers that nobody can trust."""

import gzip
import socket
import ssl
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from ipaddress import ip_network
from pathlib import Path
from typing import Any

import pytest

from agentflare.errors import InvalidRequestError
from agentflare.outside import request as outside
from agentflare.outside import resolve
from inference.images import remote
from inference.images.remote import FetchedImage, as_data_url, fetch_image, fetch_images
from inference.images.tests.server import CERTIFICATE, PNG, Server, answer, redirect, send

JPEG = b"\xff\xd8\xff\xe0" + b"j" * 50
GIF = b"GIF89a" + b"g" * 50
WEBP = b"RIFF\x10\x00\x00\x00WEBP" + b"w" * 50


@pytest.fixture(autouse=True)
def _local_images(settings: Any) -> None:
    settings.REMOTE_IMAGE_ALLOWED_NETWORKS = [ip_network("127.0.0.1/32")]
    settings.REMOTE_IMAGE_TIMEOUT_S = 5.0


@pytest.fixture
def start() -> Iterator[Callable[..., Server]]:
    servers: list[Server] = []

    def start_server(*args: Any, **options: Any) -> Server:
        servers.append(Server(*args, **options))
        return servers[-1]

    yield start_server
    for each in servers:
        each.stop()


@pytest.fixture
def server(start: Callable[..., Server]) -> Server:
    return start()


def refusal(url: str) -> str:
    with pytest.raises(InvalidRequestError) as caught:
        fetch_image(url, param="messages[0].content[1].image_url.url")
    error = caught.value
    assert (error.status, error.code) == (400, "invalid_image_url")
    assert error.param == "messages[0].content[1].image_url.url"
    assert error.param in error.message
    return error.message


def lead(monkeypatch: pytest.MonkeyPatch, *answers: list[str]) -> list[str]:
    """Every name leads to the first addresses, then to the next. Returns the names asked for."""
    asked: list[str] = []

    def look_up(host: str, port: int, *, timeout_s: float) -> list[Any]:
        asked.append(host)
        found = answers[min(len(asked), len(answers)) - 1]
        return [outside.networks.parse(address) for address in found]

    monkeypatch.setattr(outside, "resolve", look_up)
    return asked


# --- it works -----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("content", "announced", "media_type"),
    [
        (PNG, "image/png", "image/png"),
        (JPEG, "image/jpeg", "image/jpeg"),
        (JPEG, "Image/JPG; charset=binary", "image/jpeg"),
        (GIF, "image/gif", "image/gif"),
        (WEBP, "image/webp", "image/webp"),
        # Servers err; the content tells.
        (JPEG, "image/png", "image/jpeg"),
    ],
)
def test_an_image_is_fetched(
    server: Server, content: bytes, announced: str, media_type: str
) -> None:
    server.pages["/x"] = answer(content, media_type=announced)

    assert fetch_image(server.url("/x"), param="p") == FetchedImage(content, media_type)


def test_an_image_as_a_data_url() -> None:
    assert as_data_url(FetchedImage(b"\x00\x01", "image/gif")) == "data:image/gif;base64,AAE="


def test_the_request_tells_nothing_but_who_we_are(
    server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("http_proxy", "HTTP_PROXY", "all_proxy"):
        monkeypatch.setenv(name, "http://127.0.0.1:1")
    server.pages["/x?a=%20b"] = answer()
    fetch_image(server.url("/x?a= b#part"), param="p")

    (head,) = server.seen
    lines = head.split("\r\n")
    assert lines[0] == "GET /x?a=%20b HTTP/1.1"
    headers = dict(line.split(": ", 1) for line in lines[1:] if line)
    assert headers.pop("User-Agent").startswith("AgentFlare (+http")
    assert headers == {
        "Host": f"127.0.0.1:{server.port}",
        "Accept": "image/png, image/jpeg, image/gif, image/webp",
        "Accept-Encoding": "identity",
        "Connection": "close",
    }


def test_a_body_without_a_length_and_one_in_chunks_are_read(server: Server) -> None:
    head = b"HTTP/1.1 200 OK\r\nContent-Type: image/png\r\n"
    server.pages["/until-close"] = send(head + b"\r\n" + PNG)
    chunks = b"%x\r\n%s\r\n3\r\nend\r\n0\r\n\r\n" % (len(PNG), PNG)
    server.pages["/chunked"] = send(head + b"Transfer-Encoding: chunked\r\n\r\n" + chunks)

    assert fetch_image(server.url("/until-close"), param="p").content == PNG
    assert fetch_image(server.url("/chunked"), param="p").content == PNG + b"end"


def test_a_silent_address_does_not_keep_from_the_next(
    server: Server, monkeypatch: pytest.MonkeyPatch, settings: Any
) -> None:
    settings.REMOTE_IMAGE_ALLOWED_NETWORKS = [ip_network("127.0.0.0/8")]
    lead(monkeypatch, ["127.0.0.9", "127.0.0.1"])

    assert fetch_image(server.url(host="images.test"), param="p").content == PNG


# --- where it leads -----------------------------------------------------------------


@pytest.mark.parametrize(
    ("url", "reason"),
    [
        ("ftp://example.com/a.png", "only http:// and https://"),
        ("file:///etc/passwd", "only http:// and https://"),
        ("gopher://example.com/", "only http:// and https://"),
        ("//example.com/a.png", "only http:// and https://"),
        ("a.png", "only http:// and https://"),
        ("", "only http:// and https://"),
        ("http://", "no valid host"),
        ("http:///a.png", "no valid host"),
        ("http://user:secret@example.com/a.png", "user name or password"),
        ("http://example.com@127.0.0.1/a.png", "user name or password"),
        ("http://example.com:99999/", "not a valid URL"),
        ("http://exa mple.com/", "not a valid URL"),
        ("http://[fe80::1%25eth0]/", "no valid host"),
        ("http://" + "a" * 70 + ".com/", "cannot be found"),
        ("http://a..b/", "cannot be found"),
        ("https://example.com/" + "a" * 9000, "longer than"),
    ],
)
def test_what_is_no_good_url_is_refused(url: str, reason: str) -> None:
    assert reason in refusal(url)


@pytest.mark.parametrize(
    "host",
    [
        "127.0.0.2",
        "127.1.2.3",
        "2130706434",
        "0x7f.0.0.2",
        "0177.0.0.2",
        "[::1]",
        "[::ffff:127.0.0.2]",
        "[::ffff:7f00:2]",
        "0",
        "0.0.0.0",
        "169.254.169.254",
        "10.0.0.1",
        "100.64.0.1",
        "[64:ff9b::7f00:2]",
        "[2002:7f00:2::]",
        "[fd00:ec2::254]",
        "224.0.0.1",
    ],
)
def test_addresses_that_are_not_public_are_not_even_asked(
    host: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def connect(*args: Any, **kwargs: Any) -> Any:
        raise AssertionError(args)

    monkeypatch.setattr(outside.socket, "create_connection", connect)
    assert "not on the public internet" in refusal(f"http://{host}/")


def test_localhost_is_refused_where_nobody_allowed_it(settings: Any, server: Server) -> None:
    settings.REMOTE_IMAGE_ALLOWED_NETWORKS = []

    assert "not on the public internet" in refusal(server.url(host="localhost"))
    assert server.seen == []


def test_a_name_that_leads_to_a_private_address_too_is_refused(
    monkeypatch: pytest.MonkeyPatch, server: Server
) -> None:
    lead(monkeypatch, ["127.0.0.1", "127.0.0.2"])

    assert "not on the public internet" in refusal(server.url(host="images.test"))
    assert server.seen == []


def test_a_name_that_changes_after_the_check_changes_nothing(
    monkeypatch: pytest.MonkeyPatch, server: Server, start: Callable[..., Server]
) -> None:
    private = start("127.0.0.2", server.port)
    asked = lead(monkeypatch, ["127.0.0.1"], ["127.0.0.2"])

    assert fetch_image(server.url(host="images.test"), param="p").content == PNG
    assert asked == ["images.test"]
    assert private.seen == []
    # And when it is asked for anew, it is checked anew.
    assert "not on the public internet" in refusal(server.url(host="images.test"))
    assert private.seen == []


@pytest.mark.parametrize("port", [22, 25, 6379, 8080])
def test_other_ports_of_public_hosts_are_not_asked(
    monkeypatch: pytest.MonkeyPatch, port: int
) -> None:
    lead(monkeypatch, ["93.184.216.34"])

    assert "only the ports 80 and 443" in refusal(f"http://example.com:{port}/a.png")


# --- redirects ----------------------------------------------------------------------


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_redirects_are_followed(server: Server, status: int) -> None:
    server.pages["/1"] = redirect("/2?x", status)
    server.pages["/2?x"] = redirect(server.url("/3"), status)
    server.pages["/3"] = redirect("a.png", status)

    assert fetch_image(server.url("/1"), param="p").content == PNG
    assert len(server.seen) == 4


def test_a_fourth_redirect_is_not_followed(server: Server) -> None:
    server.pages["/round"] = redirect("/round")

    assert "redirects" in refusal(server.url("/round"))
    assert len(server.seen) == 4


@pytest.mark.parametrize(
    ("location", "reason"),
    [
        ("http://127.0.0.2/", "not on the public internet"),
        ("http://169.254.169.254/latest/meta-data/", "not on the public internet"),
        ("//[::1]/", "not on the public internet"),
        ("file:///etc/passwd", "only http:// and https://"),
        ("http://user:secret@127.0.0.1/", "user name or password"),
        ("http://[", "could not be reached"),
        ("http://x:y/", "not a valid URL"),
    ],
)
def test_each_redirect_is_checked_anew(server: Server, location: str, reason: str) -> None:
    server.pages["/1"] = redirect(location)

    assert reason in refusal(server.url("/1"))


def test_a_name_that_leads_elsewhere_at_the_redirect_is_refused(
    monkeypatch: pytest.MonkeyPatch, server: Server
) -> None:
    lead(monkeypatch, ["127.0.0.1"], ["127.0.0.2"])
    server.pages["/1"] = redirect("/a.png")

    assert "not on the public internet" in refusal(server.url("/1", "images.test"))
    assert len(server.seen) == 1


# --- TLS ----------------------------------------------------------------------------


@pytest.fixture
def secure(monkeypatch: pytest.MonkeyPatch, start: Callable[..., Server]) -> Server:
    """images.test, with a certificate that is trusted here."""
    context = ssl.create_default_context(cafile=str(CERTIFICATE))
    monkeypatch.setattr(outside, "tls_context", lambda: context)
    lead(monkeypatch, ["127.0.0.1"])
    return start(tls=True)


def test_the_name_and_not_the_address_is_asked_for_and_verified(secure: Server) -> None:
    assert fetch_image(secure.url(host="images.test"), param="p").content == PNG
    assert secure.names == ["images.test"]
    assert f"Host: images.test:{secure.port}" in secure.seen[0]


def test_a_certificate_for_another_name_is_refused(secure: Server) -> None:
    assert "certificate is not valid" in refusal(secure.url(host="other.test"))
    assert secure.seen == []


def test_a_certificate_that_nobody_signed_is_refused(
    start: Callable[..., Server], monkeypatch: pytest.MonkeyPatch
) -> None:
    lead(monkeypatch, ["127.0.0.1"])
    server = start(tls=True)

    assert "certificate is not valid" in refusal(server.url(host="images.test"))
    assert server.seen == []


# --- what comes ---------------------------------------------------------------------


@pytest.mark.parametrize(
    ("page", "reason"),
    [
        (answer(status=404), "status 404"),
        (answer(status=500), "status 500"),
        (answer(status=206), "status 206"),
        (answer(b"", status=204), "status 204"),
        (answer(media_type="text/html"), "does not call it"),
        (answer(media_type="image/svg+xml"), "does not call it"),
        (answer(b"<svg/>"), "is no PNG"),
        (answer(b""), "is no PNG"),
        (answer(gzip.compress(PNG), Content_Encoding="gzip"), "compressed"),
        (answer(gzip.compress(bytes(10**8))), "is no PNG"),
        (answer(Content_Length="99999999999999999999"), "larger than"),
        (answer(Content_Length="5000"), "broke off"),
        (answer(PNG, Transfer_Encoding="chunked"), "broke off"),
        (send(b""), "broke off"),
        (send(b"SSH-2.0-OpenSSH_9.6\r\n"), "broke off"),
        (send(b"HTTP/1.1 200 OK\r\n" + b"X: y\r\n" * 300 + b"\r\n"), "broke off"),
        (send(b"HTTP/1.1 200 OK\r\nX: " + b"y" * 100_000), "broke off"),
        (redirect(""), "redirects"),
    ],
)
def test_what_is_not_an_image_is_refused(server: Server, page: Any, reason: str) -> None:
    server.pages["/x"] = page

    assert reason in refusal(server.url("/x"))


def test_more_than_was_announced_is_not_read(server: Server) -> None:
    server.pages["/x"] = answer(PNG + b"more" * 1000, Content_Length=str(len(PNG)))

    assert fetch_image(server.url("/x"), param="p").content == PNG


@pytest.mark.parametrize("head", [b"", b"Transfer-Encoding: chunked\r\n"])
def test_an_endless_body_is_cut_off_at_the_limit(
    server: Server, settings: Any, head: bytes
) -> None:
    settings.REMOTE_IMAGE_MAX_BYTES = 1_000_000
    sent = 0

    def endless(connection: socket.socket) -> None:
        nonlocal sent
        connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Type: image/png\r\n" + head + b"\r\n")
        piece = b"x" * 0x8000
        while True:
            connection.sendall(b"8000\r\n" + piece + b"\r\n" if head else piece)
            sent += len(piece)

    server.pages["/x"] = endless
    assert "larger than 1000000 bytes" in refusal(server.url("/x"))
    assert sent < 20_000_000


def drip(start: bytes, piece: bytes) -> Any:
    def behave(connection: socket.socket) -> None:
        connection.sendall(start)
        while True:
            connection.sendall(piece)
            time.sleep(0.02)

    return behave


@pytest.mark.parametrize(
    "page",
    [
        drip(b"", b""),
        drip(b"", b"H"),
        drip(b"HTTP/1.1 200 OK\r\n", b"X: y\r\n"[:1]),
        drip(b"", b"HTTP/1.1 100 Continue\r\n\r\n"),
        drip(b"HTTP/1.1 200 OK\r\nContent-Type: image/png\r\n\r\n" + PNG, b"x"),
        drip(b"HTTP/1.1 200 OK\r\nContent-Type: image/png\r\nContent-Length: 9000\r\n\r\n", b"x"),
        drip(
            b"HTTP/1.1 200 OK\r\nContent-Type: image/png\r\nTransfer-Encoding: chunked\r\n\r\n",
            b"1\r\nx\r\n",
        ),
    ],
)
def test_a_slow_server_is_left_at_the_deadline(server: Server, page: Any, settings: Any) -> None:
    settings.REMOTE_IMAGE_TIMEOUT_S = 0.5
    server.pages["/x"] = page

    started = time.monotonic()
    assert "took too long" in refusal(server.url("/x"))
    assert time.monotonic() - started < 10  # it would go on for ever


def test_a_server_that_never_shakes_hands_is_left_at_the_deadline(
    server: Server, settings: Any
) -> None:
    settings.REMOTE_IMAGE_TIMEOUT_S = 0.5
    url = server.url().replace("http:", "https:")

    assert "took too long" in refusal(url)


def test_a_name_that_takes_its_time_is_left_at_the_deadline(
    settings: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings.REMOTE_IMAGE_TIMEOUT_S = 0.3

    may_answer, has_answered = threading.Event(), threading.Event()

    def look_up(*args: Any, **kwargs: Any) -> Any:
        may_answer.wait(20)
        has_answered.set()
        raise OSError

    monkeypatch.setattr(resolve.socket, "getaddrinfo", look_up)
    try:
        assert "took too long" in refusal("http://slow.test/")
        assert not has_answered.is_set()
    finally:
        may_answer.set()


def test_nobody_listens(server: Server) -> None:
    server.stop()

    assert "could not be reached" in refusal(server.url())


# --- several ------------------------------------------------------------------------


def test_images_of_one_request_are_fetched_at_once_and_kept_in_order(server: Server) -> None:
    contents = [PNG, JPEG, GIF, WEBP, PNG + b"2", PNG + b"3", PNG + b"4", PNG + b"5"]

    running: list[int] = []
    at_once: list[int] = []

    def late(content: bytes) -> Any:
        def behave(connection: socket.socket) -> None:
            running.append(1)
            time.sleep(0.3)
            at_once.append(len(running))
            running.pop()
            answer(content)(connection)

        return behave

    for number, content in enumerate(contents):
        server.pages[f"/{number}"] = late(content)
    images = fetch_images([(server.url(f"/{number}"), "p") for number in range(8)])

    assert [image.content for image in images] == contents
    assert max(at_once) >= 4


def test_the_one_that_fails_is_named(server: Server) -> None:
    server.pages["/bad"] = answer(status=404)

    with pytest.raises(InvalidRequestError) as caught:
        fetch_images([(server.url(), "messages[0]"), (server.url("/bad"), "messages[1]")])
    assert caught.value.param == "messages[1]"


def test_a_ninth_image_is_refused_before_any_is_fetched(server: Server) -> None:
    with pytest.raises(InvalidRequestError) as caught:
        fetch_images([(server.url(), f"messages[{number}]") for number in range(9)])

    assert caught.value.param == "messages[8]"
    assert "at most 8" in caught.value.message
    assert server.seen == []


def test_all_together_have_a_limit(server: Server, settings: Any) -> None:
    settings.REMOTE_IMAGES_MAX_BYTES = 2 * len(PNG)
    fetch_images([(server.url(), "p")] * 2)

    with pytest.raises(InvalidRequestError, match="together"):
        fetch_images([(server.url(), "p")] * 3)


def test_no_images_are_no_work() -> None:
    assert fetch_images([]) == []


def test_the_others_stop_when_one_fails(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    broken_off: list[bool] = []

    def long(connection: socket.socket) -> None:
        connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Type: image/png\r\n\r\n")
        try:
            for _ in range(200):
                connection.sendall(b"x" * 40_000)
                time.sleep(0.02)
        except OSError:
            broken_off.append(True)
            raise

    server.pages["/long"] = long
    server.pages["/bad"] = answer(status=404)
    with pytest.raises(InvalidRequestError):
        fetch_images([(server.url("/bad"), "p"), (server.url("/long"), "p")])

    deadline = time.monotonic() + 3
    while not broken_off:
        assert time.monotonic() < deadline
        time.sleep(0.02)


# --- in a web worker ----------------------------------------------------------------

UNDER_GEVENT = Path(__file__).parent / "under_gevent.py"


def test_under_gevent_nothing_else_waits() -> None:
    done = subprocess.run(
        [sys.executable, UNDER_GEVENT], capture_output=True, text=True, timeout=60, check=False
    )

    assert done.returncode == 0, done.stdout + done.stderr


def test_the_settings_are_read_as_networks(monkeypatch: pytest.MonkeyPatch) -> None:
    from django.core.exceptions import ImproperlyConfigured

    from agentflare import env

    monkeypatch.setenv("X_NETWORKS", "127.0.0.0/8, fd00::/8")
    assert env.networks("X_NETWORKS") == [ip_network("127.0.0.0/8"), ip_network("fd00::/8")]
    monkeypatch.setenv("X_NETWORKS", "10.0.0.1/8")
    with pytest.raises(ImproperlyConfigured, match="X_NETWORKS"):
        env.networks("X_NETWORKS")


def test_nothing_of_the_module_reads_the_environment() -> None:
    source = Path(remote.__file__).parent
    for path in source.glob("*.py"):
        assert "environ" not in path.read_text()
