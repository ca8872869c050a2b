"""What lies beneath the API: broken HTTP, odd URLs, browsers."""

import json
import socket
from typing import Any
from urllib.parse import urlsplit

import pytest
import requests


def answer_to(gateway: Any, sent: bytes) -> tuple[int, dict[str, str], bytes]:
    url = urlsplit(gateway.url)
    with socket.create_connection((url.hostname, url.port), timeout=10) as wire:
        wire.sendall(sent)
        received = b""
        while piece := wire.recv(65_536):
            received += piece
    head, _, body = received.partition(b"\r\n\r\n")
    status, *lines = head.decode().split("\r\n")
    headers = dict(line.lower().split(": ", 1) for line in lines)
    return int(status.split()[1]), headers, body


POST = b"POST /v1/chat/completions HTTP/1.1\r\nHost: x\r\n"


@pytest.mark.parametrize(
    ("sent", "status"),
    [
        (b"NONSENSE\r\n\r\n", 400),
        (b"G@T /v1/models HTTP/1.1\r\nHost: x\r\n\r\n", 400),
        (b"GET /v1/models HTTP/1.1\r\nHost: x\r\nno colon\r\n\r\n", 400),
        (b"GET /v1/models HTTP/1.1\r\nHost: x\r\nB\xe4d: \xff\r\n\r\n", 400),
        (POST + b"Content-Length: many\r\n\r\n", 400),
        # Without a key it would not be read.
        (POST + b"X-Api-Key: x\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n\r\n", 400),
        (b"GET /v1/" + b"a" * 5_000 + b" HTTP/1.1\r\nHost: x\r\n\r\n", 414),
        (POST + b"Expect: the-best\r\nContent-Length: 2\r\n\r\n{}", 417),
        (POST + b"X: " + b"a" * 9_000 + b"\r\n\r\n", 431),
        (POST + b"Transfer-Encoding: unheard-of\r\n\r\n", 501),
    ],
)
def test_what_is_no_valid_http_is_refused_in_the_envelope(
    gateway: Any, sent: bytes, status: int
) -> None:
    told, headers, body = answer_to(gateway, sent)

    assert told == status
    assert headers["content-type"] == "application/json"
    assert headers["x-request-id"].startswith("req_")
    assert headers["x-should-retry"] == "false"
    error = json.loads(body)["error"]
    assert set(error) == {"message", "type", "param", "code"}
    assert error["type"] == "invalid_request_error"
    assert "<" not in error["message"]


@pytest.mark.parametrize("path", ["//v1/models", "/v1//models", "//v1//models"])
def test_slashes_too_many_lead_to_the_same_place(gateway: Any, path: str) -> None:
    cast = gateway.cast()
    answer = requests.get(f"{gateway.url}{path}", headers=cast.auth, timeout=10)
    assert answer.json()["object"] == "list"


def test_slashes_too_many_are_an_error_in_the_envelope_elsewhere_below_v1(gateway: Any) -> None:
    answer = requests.get(f"{gateway.url}//v1//nothing", timeout=10)
    assert answer.status_code == 404
    assert answer.json()["error"]["type"] == "invalid_request_error"


@pytest.mark.parametrize("header", ["Authorization", "x-api-key"])
def test_a_client_with_the_wrong_base_url_is_told_the_right_one(gateway: Any, header: str) -> None:
    answer = requests.post(
        f"{gateway.url}/chat/completions", json={}, headers={header: "Bearer x"}, timeout=10
    )
    assert answer.status_code == 404
    assert answer.headers["x-request-id"]
    error = answer.json()["error"]
    assert error["type"] == "invalid_request_error"
    assert "/v1" in error["message"]


def test_a_page_that_is_not_there_is_a_page(gateway: Any) -> None:
    answer = requests.get(f"{gateway.url}/nothing", timeout=10)
    assert (answer.status_code, answer.headers["content-type"][:9]) == (404, "text/html")


@pytest.mark.parametrize("path", ["chat/completions", "messages", "models", "nothing"])
def test_a_browser_may_ask_for_whatever_clients_send(gateway: Any, path: str) -> None:
    asked = "authorization,content-type,x-stainless-lang,anthropic-version"
    answer = requests.options(
        f"{gateway.base_url}/{path}",
        headers={
            "Origin": "https://app.example",
            "Access-Control-Request-Method": "POST",
            "Access-Control-Request-Headers": asked,
        },
        timeout=10,
    )
    assert (answer.status_code, answer.content) == (204, b"")
    assert answer.headers["access-control-allow-origin"] == "*"
    assert answer.headers["access-control-allow-headers"] == asked
    assert "POST" in answer.headers["access-control-allow-methods"]
    assert "access-control-allow-credentials" not in answer.headers
    assert answer.headers["x-request-id"]


def test_a_browser_may_read_answers_errors_and_their_headers(gateway: Any) -> None:
    cast = gateway.cast()
    for answer in (
        gateway.chat(cast, "hi"),
        gateway.chat(cast, "hi", stream=True),
        requests.get(f"{gateway.base_url}/models", timeout=10),
    ):
        assert answer.headers["access-control-allow-origin"] == "*"
        assert answer.headers["access-control-expose-headers"] == "*"


def test_pages_are_for_no_other_site(gateway: Any) -> None:
    for path in ("/accounts/login/", "/docs/api", "/health/live"):
        answer = requests.get(f"{gateway.url}{path}", timeout=10)
        assert "access-control-allow-origin" not in answer.headers
