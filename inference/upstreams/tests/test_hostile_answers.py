"""Answers that have no end, no length, no sense: over real sockets."""

import socket
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from typing import Any

import orjson
import pytest

from inference.upstreams.accounts import OPENAI_COMPATIBLE, WORKERS_AI, Account, CallContext
from inference.upstreams.client import BROKEN, Answer, as_failure, send
from inference.upstreams.failures import Scope, UpstreamCallError
from inference.upstreams.requests import JsonRequest

OK = b"HTTP/1.1 200 OK\r\n"
JSON = b"Content-Type: application/json\r\n"
EVENTS = b"Content-Type: text/event-stream\r\n"
LIMIT_S = 1
Upstream = Callable[[Sequence[bytes]], Account]


@pytest.fixture(autouse=True)
def short_patience(settings: Any) -> None:
    settings.UPSTREAM_READ_TIMEOUT_S = LIMIT_S
    settings.UPSTREAM_CONNECT_TIMEOUT_S = 1


@contextmanager
def upstream_that_sends(pieces: Iterator[bytes], *, pause_s: float = 0) -> Iterator[Account]:
    """One answer, in these pieces, and the end of the connection."""
    listener = socket.create_server(("127.0.0.1", 0))

    def serve() -> None:
        connection, _ = listener.accept()
        with connection, suppress(OSError):
            connection.recv(65_536)
            for piece in pieces:
                connection.sendall(piece)
                time.sleep(pause_s)
            # Closed with bytes unread, it would take back what it has sent.
            connection.shutdown(socket.SHUT_WR)
            while connection.recv(65_536):
                pass

    thread = threading.Thread(target=serve, daemon=True)
    thread.start()
    address = f"http://127.0.0.1:{listener.getsockname()[1]}"
    try:
        yield Account("main", WORKERS_AI, address, account_id="acct-1", api_token="secret-token")
    finally:
        listener.close()


def call(account: Account) -> Answer:
    context = CallContext(tenant_code="t", key_id="k", request_id="r")
    return send(account, "@cf/x", JsonRequest({"prompt": "a"}), context=context)


def failure_of(read: Callable[[], Any]) -> UpstreamCallError:
    with pytest.raises((UpstreamCallError, *BROKEN)) as caught:
        read()
    return as_failure(caught.value)


def drip(text: bytes) -> Iterator[bytes]:
    for byte in text:
        yield bytes([byte])


@pytest.mark.parametrize(
    ("head", "dripping", "read"),
    [
        (OK + EVENTS + b"\r\n", b'data: {"response": "a"', lambda a: list(a.frames())),
        (OK + EVENTS + b"\r\n", b": still here\n\n" * 9, lambda a: list(a.frames())),
        (OK + b"Content-Type: audio/mpeg\r\n\r\n", b"x" * 50, lambda a: list(a.pieces())),
        (OK + JSON + b"\r\n", b" " * 50, lambda a: a.result()),
    ],
)
def test_bytes_that_say_nothing_are_silence(
    head: bytes, dripping: bytes, read: Callable[[Answer], Any]
) -> None:
    def pieces() -> Iterator[bytes]:
        yield head
        yield from drip(dripping)

    with upstream_that_sends(pieces(), pause_s=LIMIT_S / 8) as account:
        failure = failure_of(lambda: read(call(account)))

    # Read to its end, it would be broken off or unreadable.
    assert failure.error.code == "upstream_timeout"


def test_a_client_that_reads_slowly_is_not_upstreams_silence() -> None:
    frame = b'data: {"response": "a"}\n\ndata:\n\n'
    stream = OK + EVENTS + b"\r\n" + frame * 2 + b"data: [DONE]\n\n"
    with upstream_that_sends(iter([stream])) as account:
        answer = call(account)
        frames = answer.frames()
        next(frames)
        time.sleep(LIMIT_S * 1.2)

        assert len(list(frames)) == 1
    assert answer.saw_done


def test_an_answer_without_an_end_is_not_read_for_ever(monkeypatch: Any) -> None:
    monkeypatch.setattr("inference.upstreams.client._MAX_ANSWER_BYTES", 100_000)

    def sound() -> Iterator[bytes]:
        yield OK + b"Content-Type: audio/mpeg\r\n\r\n"
        while True:
            yield b"x" * 10_000

    with upstream_that_sends(sound()) as account:
        failure_of(lambda: list(call(account).pieces()))


def test_a_redirect_is_not_followed() -> None:
    with (
        upstream_that_sends(iter([b""])) as other,
        upstream_that_sends(
            iter([f"HTTP/1.1 307 x\r\nLocation: {other.base_url}\r\n\r\n".encode()])
        ) as account,
    ):
        assert failure_of(lambda: call(account)).error.status == 502


@pytest.mark.parametrize(
    ("label", "kept"), [(b"req-1", "req-1"), (b"a\x00b", ""), (b"a" * 200, "a" * 80)]
)
def test_a_label_that_the_books_cannot_hold_is_left_out(label: bytes, kept: str) -> None:
    head = OK + JSON + b"cf-ai-req-id: " + label + b"\r\n\r\n"
    with upstream_that_sends(iter([head + b'{"result": {}}'])) as account:
        assert call(account).request_id == kept


def test_a_document_that_could_not_be_written_again_is_not_read() -> None:
    body = b'{"result": {"response": "a", "x": ' + b"[" * 500 + b"]" * 500 + b"}}"
    with upstream_that_sends(iter([OK + JSON + b"\r\n" + body])) as account:
        failure_of(lambda: call(account).result())


@pytest.mark.parametrize(
    ("event", "status", "scope"),
    [
        (b'data: {"success": false, "errors": [{"code": 3040}]}', 503, Scope.MODEL),
        (b'data: {"success": false, "errors": [{"code": 10000}]}', 502, Scope.ACCOUNT),
        (b'data: {"success": false, "error": [{"code": 2003}]}', 429, Scope.ACCOUNT),
        (b'event: error\ndata: {"message": "boom"}', 502, Scope.MODEL),
        (b'data: {"object": "error", "message": "boom"}', 502, Scope.MODEL),
    ],
)
def test_an_error_inside_a_stream_is_read_by_its_code(
    event: bytes, status: int, scope: Scope
) -> None:
    with upstream_that_sends(iter([OK + EVENTS + b"\r\n" + event + b"\n\n"])) as account:
        failure = failure_of(lambda: list(call(account).frames()))

    assert (failure.error.status, failure.scope) == (status, scope)
    assert failure.may_fall_over


@pytest.mark.parametrize("provider", [WORKERS_AI, OPENAI_COMPATIBLE])
def test_a_refusal_tells_nothing_of_whom_we_asked(provider: str) -> None:
    message = "Bad input at http://10.0.0.1/x for acct-1 with secret-token"
    body = orjson.dumps({"error": {"message": message}})
    with upstream_that_sends(iter([b"HTTP/1.1 400 x\r\n" + JSON + b"\r\n" + body])) as found:
        account = Account(
            "main", provider, found.base_url, account_id="acct-1", api_token="secret-token"
        )
        failure = failure_of(lambda: call(account))

    assert failure.error.message == "Bad input at […] for […] with […]"
