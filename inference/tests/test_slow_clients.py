"""Clients that take their time on purpose: each is let go, and nobody else waits for it.

Against gunicorn with our configuration, its patience cut down to seconds.
"""

import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, suppress
from typing import Any

import pytest
import requests
from django.conf import settings

from sandbox.embedded.ports import free_port
from sandbox.testing import wait_until

pytestmark = pytest.mark.slow  # a web server of its own

PATIENCE_S = 3
# After which something is held to wait for ever, however loaded the machine is.
FOR_EVER_S = 60
HOST = b"Host: localhost\r\n"
CHAT = b"POST /v1/chat/completions HTTP/1.1\r\n" + HOST + b"Content-Type: application/json\r\n"


@pytest.fixture(scope="module")
def port(_database: None) -> Iterator[int]:
    port = free_port()
    command = [sys.executable, "-m", "gunicorn", "agentflare.wsgi:application"]
    command += ["-c", "agentflare/gunicorn.py", "-b", f"127.0.0.1:{port}", "-w", "1"]
    command += ["--keep-alive", str(PATIENCE_S), "--log-level", "error"]
    timeouts = dict.fromkeys(("WEB_BODY_TIMEOUT_S", "WEB_UNREAD_TIMEOUT_S"), str(PATIENCE_S))
    server = subprocess.Popen(
        command,
        cwd=settings.BASE_DIR,
        env={**os.environ, **timeouts, "SECRET_KEY": settings.SECRET_KEY},
    )
    try:
        wait_until(lambda: is_alive(port), timeout_s=FOR_EVER_S)
        yield port
    finally:
        server.kill()
        server.wait()


def is_alive(port: int) -> bool:
    with suppress(requests.RequestException):
        return requests.get(f"http://127.0.0.1:{port}/health/live", timeout=5).ok
    return False


def connect(port: int) -> socket.socket:
    return socket.create_connection(("127.0.0.1", port), timeout=FOR_EVER_S)


def drip(wire: socket.socket) -> bytes:
    """A byte now and then, until the server has enough of it. Its answer."""
    wire.settimeout(0.2)
    received, ends_at = b"", time.monotonic() + FOR_EVER_S
    while time.monotonic() < ends_at:
        with suppress(OSError):
            wire.sendall(b"a")
        try:
            piece = wire.recv(65_536)
        except TimeoutError:
            continue
        except ConnectionError:
            return received
        if not piece:
            return received
        received += piece
    raise AssertionError("It is still waited for.")


def auth(cast: Any) -> bytes:
    return f"Authorization: Bearer {cast.key}\r\n".encode()


def test_a_head_that_does_not_end_is_let_go(port: int) -> None:
    with connect(port) as wire:
        wire.sendall(b"GET /v1/models HTTP/1.1\r\nX: ")
        assert drip(wire) == b""


@pytest.mark.parametrize("sent", ["with a length", "in chunks"])
def test_a_body_that_does_not_come_is_refused_and_let_go(port: int, acme: Any, sent: str) -> None:
    length = b"Content-Length: 60000\r\n\r\n"
    chunks = b"Transfer-Encoding: chunked\r\n\r\nffff\r\n"
    with connect(port) as wire:
        wire.sendall(CHAT + auth(acme) + (length if sent == "with a length" else chunks))
        answer = drip(wire)

    assert answer.startswith(b"HTTP/1.1 408 ")
    assert answer.count(b"HTTP/1.1") == 1
    assert b'"code":"request_timeout"' in answer


def test_a_page_waits_for_no_form_either(port: int) -> None:
    with connect(port) as wire:
        wire.sendall(
            b"POST /accounts/login/ HTTP/1.1\r\n" + HOST + b"Cookie: csrftoken="
            b"aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa\r\nContent-Length: 60000\r\n"
            b"Content-Type: application/x-www-form-urlencoded\r\n\r\n"
        )
        assert drip(wire).startswith(b"HTTP/1.1 403 ")


def test_without_a_key_no_chunk_is_read(port: int) -> None:
    with connect(port) as wire:
        wire.sendall(CHAT + b"Transfer-Encoding: chunked\r\n\r\nffff\r\n")
        # At once: nothing of the body has come.
        assert wire.recv(65_536).startswith(b"HTTP/1.1 401 ")


def test_a_pages_chunks_are_not_read_beyond_a_form(port: int) -> None:
    with connect(port) as wire:
        wire.sendall(b"POST /accounts/login/ HTTP/1.1\r\n" + HOST)
        wire.sendall(b"Transfer-Encoding: chunked\r\n\r\n200000\r\n")
        wire.sendall(b"a" * (settings.MAX_FORM_BYTES + 100_000))
        # Though the chunk, of two megabytes, has not ended.
        assert wire.recv(65_536).startswith(b"HTTP/1.1 413 ")


def test_who_reads_nothing_of_an_answer_is_let_go(port: int) -> None:
    with socket.socket() as wire:
        wire.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        wire.settimeout(FOR_EVER_S)
        wire.connect(("127.0.0.1", port))
        ask = b"GET /v1/openapi.json HTTP/1.1\r\n" + HOST + b"\r\n"
        # More than the buffers of both sides hold.
        wire.sendall(ask * 40)
        here = wire.getsockname()[1]
        wait_until(lambda: not has_connection(port, here), timeout_s=FOR_EVER_S)
        assert is_alive(port)


def has_connection(port: int, client_port: int) -> bool:
    """Whether the server's side of it is there (proc(5), /proc/net/tcp)."""
    with open("/proc/net/tcp") as table:
        rows = [line.split()[1:4] for line in table][1:]
    wanted = (f":{port:04X}", f":{client_port:04X}")
    return any(here.endswith(wanted[0]) and there.endswith(wanted[1]) for here, there, _ in rows)


def test_others_are_served_meanwhile(port: int, acme: Any) -> None:
    slow_ones = [
        b"GET /v1/models HTTP/1.1\r\nX: ",
        CHAT + auth(acme) + b"Content-Length: 60000\r\n\r\n",
        CHAT + auth(acme) + b"Transfer-Encoding: chunked\r\n\r\nff\r\n",
    ]
    with ExitStack() as stack:
        wires = [stack.enter_context(connect(port)) for _ in range(100) for _ in slow_ones]
        for number, wire in enumerate(wires):
            wire.sendall(slow_ones[number % len(slow_ones)])
        answer = requests.get(
            f"http://127.0.0.1:{port}/v1/models", headers=acme.auth, timeout=FOR_EVER_S
        )
        assert answer.status_code == 200
        for wire in wires:
            assert b"HTTP/1.1 500" not in rest(wire)


def rest(wire: socket.socket) -> bytes:
    received = b""
    with suppress(ConnectionError):
        while piece := wire.recv(65_536):
            received += piece
    return received
