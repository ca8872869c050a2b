"""Requests that a proxy and we could read differently, on the wire: refused, and the connection
closed, or read as the one request that they are. What stands in their bodies is never a request."""

import re
import socket
from typing import Any
from urllib.parse import urlsplit

import pytest
import requests

HOST = b"Host: localhost\r\n"
INNER = b"GET /v1/openapi.json HTTP/1.1\r\n" + HOST + b"\r\n"
END = b"0\r\n\r\n"
# How long the answer to a request that was smuggled would have to come.
PATIENCE_S = 10


def wire_to(gateway: Any) -> socket.socket:
    url = urlsplit(gateway.url)
    return socket.create_connection((url.hostname, url.port), timeout=PATIENCE_S)


def statuses(gateway: Any, sent: bytes) -> tuple[list[int], bool]:
    """Of all answers, in turn, and whether the server closed the connection."""
    received, closed = b"", True
    with wire_to(gateway) as wire:
        try:
            wire.sendall(sent)
            while piece := wire.recv(65_536):
                received += piece
        except TimeoutError:
            closed = False
        except ConnectionError:
            # It was answered before all of it was sent.
            pass
    return [int(status) for status in re.findall(rb"HTTP/1\.1 (\d{3})", received)], closed


def post(*headers: bytes, body: bytes = b"", version: bytes = b"HTTP/1.1") -> bytes:
    lines = [b"POST /v1/embeddings " + version, b"Host: localhost", b"Authorization: Bearer oi_x"]
    return b"\r\n".join([*lines, b"Content-Type: application/json", *headers, b"", b""]) + body


CHUNKED = b"Transfer-Encoding: chunked"
AMBIGUOUS = {
    "both lengths": post(b"Content-Length: 5", CHUNKED, body=END + INNER),
    "both, the other way round": post(CHUNKED, b"Content-Length: 4", body=END + INNER),
    "two lengths": post(b"Content-Length: 2", b"Content-Length: 3", body=b"{}" + INNER),
    "the same length twice": post(b"Content-Length: 2", b"Content-Length: 2", body=b"{}"),
    "a list of lengths": post(b"Content-Length: 2, 2", body=b"{}"),
    "a length with a sign": post(b"Content-Length: +2", body=b"{}"),
    "a negative length": post(b"Content-Length: -1", body=INNER),
    "a length in hexadecimal": post(b"Content-Length: 0x2", body=b"{}"),
    "a length with an underscore": post(b"Content-Length: 0_2", body=b"{}"),
    "a length that is no decimal": post(b"Content-Length: \xb2", body=b"{}"),
    "a coding like chunked": post(b"Transfer-Encoding: xchunked", body=END + INNER),
    "chunked, but not last": post(b"Transfer-Encoding: chunked, identity", body=END + INNER),
    "chunked twice": post(CHUNKED, CHUNKED, body=END + INNER),
    "chunked and compressed": post(b"Transfer-Encoding: gzip, chunked", body=END + INNER),
    "a control character": post(b"Transfer-Encoding: \x0bchunked", body=END + INNER),
    "a space before the colon": post(b"Transfer-Encoding : chunked", body=END + INNER),
    "a folded line": post(b"Transfer-Encoding:\r\n chunked", body=END + INNER),
    "chunks in HTTP/1.0": post(CHUNKED, body=END + INNER, version=b"HTTP/1.0"),
    "an empty coding": post(b"Transfer-Encoding: ", b"Content-Length: 2", body=b"{}"),
    "a bare line feed": post(b"X: a\nTransfer-Encoding: chunked", b"Content-Length: 2", body=b"{}"),
    "a bare return": post(b"X: a\rTransfer-Encoding: chunked", b"Content-Length: 2", body=b"{}"),
    "line feeds alone": post(b"Content-Length: 2", body=b"{}").replace(b"\r\n", b"\n"),
    "NUL in a header": post(b"X: a\0b", b"Content-Length: 2", body=b"{}"),
    "two hosts": post(b"Host: another", b"Content-Length: 2", body=b"{}"),
    "an address of a proxy": b"GET localhost:80 HTTP/1.1\r\n" + HOST + b"\r\n",
    "a line of a proxy's protocol": b"PROXY TCP4 1.2.3.4 1.2.3.4 1 2\r\n" + INNER,
    "HTTP/2 without asking": b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    "HTTP/9": INNER.replace(b"HTTP/1.1", b"HTTP/9.9"),
    "HTTP/0.9": b"GET /v1/openapi.json\r\n",
    "more headers than any client sends": INNER[:-2]
    + b"".join(b"X%d: y\r\n" % number for number in range(150))
    + b"\r\n",
}


@pytest.mark.parametrize("sent", AMBIGUOUS.values(), ids=AMBIGUOUS)
def test_what_can_be_read_in_two_ways_is_refused_and_ends_the_connection(
    gateway: Any, sent: bytes
) -> None:
    (status,), closed = statuses(gateway, sent)

    assert status in (400, 401, 431, 501)
    assert closed


BAD_CHUNKS = {
    "a size in the other notation": b"0x2\r\n{}\r\n" + END,
    "a negative size": b"-2\r\n{}\r\n" + END,
    "a size with an underscore": b"0_2\r\n{}\r\n" + END,
    "a size with a space": b"2 \r\n{}\r\n" + END,
    "line feeds alone": b"2\n{}\n0\n\n",
    "a line feed in an extension": b"2;a\nb\r\n{}\r\n" + END,
    "more than was announced": b"2\r\n{}xx0\r\n\r\n",
    "a trailer that is a key": b"2\r\n{}\r\n0\r\nAuthorization: b\r\n\r\n",
    "an extension without end": b"2;" + b"a" * 200_000 + b"\r\n{}\r\n" + END,
}


@pytest.mark.parametrize("chunks", BAD_CHUNKS.values(), ids=BAD_CHUNKS)
def test_chunks_that_can_be_read_in_two_ways_end_the_connection(
    gateway: Any, chunks: bytes
) -> None:
    (status,), closed = statuses(gateway, post(CHUNKED, body=chunks + INNER))

    assert status in (400, 401)
    assert closed


@pytest.mark.parametrize(
    ("path", "status"),
    [("/v1/embeddings", 401), ("/v1/nothing", 404), ("/nothing", 404), ("/accounts/login/", 403)],
)
def test_a_body_that_nobody_reads_is_not_the_next_request(
    gateway: Any, path: str, status: int
) -> None:
    """One connection, as a proxy keeps it for all its clients."""
    head = b"POST %s HTTP/1.1\r\n%sContent-Length: %d\r\n\r\n" % (path.encode(), HOST, len(INNER))
    chunked = b"POST %s HTTP/1.1\r\n%s%s\r\n\r\n" % (path.encode(), HOST, CHUNKED)
    last = b"GET /health/live HTTP/1.1\r\n" + HOST + b"Connection: close\r\n\r\n"

    sent = head + INNER + chunked + b"%x\r\n%s\r\n" % (len(INNER), INNER) + END + last
    assert statuses(gateway, sent) == ([status, status, 200], True)


def test_no_header_sets_what_the_server_knows(gateway: Any) -> None:
    """Where a proxy on this machine hands on all headers, its clients would choose the path."""
    for name in ("PATH_INFO", "SCRIPT_NAME", "REMOTE_ADDR", "REMOTE_USER", "X_FORWARDED_FOR"):
        answer = requests.get(
            f"{gateway.url}/health/live", headers={name: "/v1/openapi.json"}, timeout=10
        )
        assert answer.status_code == 200, name
        assert answer.json()["status"] == "live", name
        assert answer.request.headers[name]
