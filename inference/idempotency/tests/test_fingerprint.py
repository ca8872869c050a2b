"""Which requests are the same."""

from typing import Any

import pytest
from django.http import HttpRequest
from django.test import RequestFactory

from agentflare.errors import InvalidRequestError
from inference.idempotency.fingerprint import fingerprint

FIELDS = [("model", None, b"whisper"), ("file", "a.wav", b"RIFF\x00\xff" * 50)]


def form(parts: list[tuple[str, str | None, bytes]], boundary: str, **headers: Any) -> HttpRequest:
    body = b""
    for name, filename, content in parts:
        extra = f'; filename="{filename}"' if filename else ""
        body += f'--{boundary}\r\nContent-Disposition: form-data; name="{name}"{extra}\r\n'.encode()
        body += b"Content-Type: audio/wav\r\n\r\n" if filename else b"\r\n"
        body += content + b"\r\n"
    body += f"--{boundary}--\r\n".encode()
    return RequestFactory().generic(
        "POST",
        "/v1/audio/transcriptions",
        body,
        content_type=f"multipart/form-data; boundary={boundary}",
    )


def json(body: bytes, path: str = "/v1/x", content_type: str = "application/json") -> HttpRequest:
    return RequestFactory().generic("POST", path, body, content_type=content_type)


def test_method_path_type_and_body_count() -> None:
    requests = [
        json(b"{}"),
        json(b"{} "),
        json(b"{}", "/v1/y"),
        json(b"{}", "/v1/x?a=1"),
        json(b"{}", content_type="text/plain"),
    ]
    assert len({fingerprint(request) for request in requests}) == len(requests)
    assert fingerprint(json(b"{}")) == fingerprint(json(b"{}"))


def test_the_same_form_is_the_same_whatever_its_boundary() -> None:
    assert fingerprint(form(FIELDS, "aaa")) == fingerprint(form(FIELDS, "bbb"))


@pytest.mark.parametrize(
    "other",
    [
        [("model", None, b"other"), FIELDS[1]],
        [FIELDS[0], ("file", "a.wav", b"RIFF")],
        [FIELDS[0], ("file", "b.wav", FIELDS[1][2])],
        [FIELDS[1]],
        [*FIELDS, ("model", None, b"whisper")],
    ],
)
def test_another_form_is_another(other: Any) -> None:
    assert fingerprint(form(other, "aaa")) != fingerprint(form(FIELDS, "aaa"))


def test_the_form_can_be_read_afterwards() -> None:
    request = form(FIELDS, "aaa")
    fingerprint(request)

    assert request.POST["model"] == "whisper"
    assert request.FILES["file"].read() == FIELDS[1][2]
    assert request.body


def test_a_form_that_cannot_be_read_is_refused() -> None:
    request = json(b"--x", content_type="multipart/form-data; boundary=")

    with pytest.raises(InvalidRequestError, match="multipart"):
        fingerprint(request)
