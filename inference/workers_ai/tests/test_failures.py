import json

import pytest

from inference.workers_ai.failures import failure_of


def envelope(code: object, message: str) -> bytes:
    return json.dumps(
        {"errors": [{"code": code, "message": message}], "success": False, "result": {}}
    ).encode()


@pytest.mark.parametrize(
    ("upstream_status", "code", "status", "client_code", "may_retry"),
    [
        (400, 3003, 400, None, False),
        (413, 3006, 413, "request_too_large", False),
        (408, 3007, 504, "upstream_timeout", False),
        (408, 3008, 502, "upstream_error", True),
        (429, 3021, 503, "upstream_busy", False),
        (403, 3023, 502, "upstream_error", False),
        (400, 3030, 400, None, False),
        (429, 3036, 503, "upstream_busy", False),
        (429, 3040, 503, "upstream_busy", True),
        (404, 3042, 502, "upstream_error", False),
        (500, 3043, 502, "upstream_error", True),
        (408, 3046, 504, "upstream_timeout", False),
        (429, 4006, 503, "upstream_busy", False),
        (400, 5004, 400, None, False),
        (400, 5006, 400, None, False),
        (400, 5007, 502, "upstream_error", False),
        (403, 5016, 502, "upstream_error", False),
        (413, 5021, 400, "context_length_exceeded", False),
        (410, 5028, 502, "upstream_error", False),
        (403, 5035, 502, "upstream_error", False),
        (400, 8001, 400, None, False),
        (401, 10000, 502, "upstream_error", False),
    ],
)
def test_each_code_has_its_error(
    upstream_status: int, code: int, status: int, client_code: str | None, may_retry: bool
) -> None:
    failure = failure_of(upstream_status, envelope(code, "AiError: something"))

    assert failure is not None
    assert (failure.error.status, failure.error.code) == (status, client_code)
    assert failure.may_retry is may_retry


@pytest.mark.parametrize("code", ["5006", 5006, 5006.0])
def test_a_code_may_be_text(code: object) -> None:
    failure = failure_of(400, envelope(code, "x"))
    assert failure is not None
    assert failure.code == 5006


def test_the_message_loses_prefixes_and_request_id() -> None:
    text = "AiError: AiError: Bad input (7c9d0f1e-0000-4000-8000-000000000000)"
    failure = failure_of(400, envelope(5006, text))
    assert failure is not None
    assert failure.error.message == "Bad input"


def test_an_engines_own_error_inside_the_message_is_read() -> None:
    text = 'AiError: {"object":"error","message":"too hot","type":"BadRequestError","code":400}'
    failure = failure_of(400, envelope(8007, text))
    assert failure is not None
    assert failure.error.message == "too hot"


def test_an_engines_context_error_is_told_as_such() -> None:
    failure = failure_of(400, envelope(8007, "maximum context length is 100 tokens"))
    assert failure is not None
    assert failure.error.code == "context_length_exceeded"


@pytest.mark.parametrize("code", [10000, 3023, 5016, 5018, 5035, 4006, 3036, 2021, 0])
def test_trouble_with_our_account_is_never_shown(code: int) -> None:
    failure = failure_of(403, envelope(code, "account 123 is out of neurons, token abc"))
    assert failure is not None
    assert failure.error.status >= 500
    assert "123" not in failure.error.message


def test_failure_under_200_is_a_failure() -> None:
    assert failure_of(200, envelope(3043, "x")) is not None
    assert failure_of(200, b'{"success": true, "result": {}}') is None
    assert failure_of(200, b'{"choices": []}') is None


@pytest.mark.parametrize("body", [b"<html>524</html>", b"", b'{"result": {"resp', b"[]", b'"x"'])
def test_what_is_no_envelope_is_a_failure(body: bytes) -> None:
    failure = failure_of(502, body)
    assert failure is not None
    assert failure.error.status in {502, 504}


def test_ai_gateways_envelope_is_read() -> None:
    body = (
        b'{"success":false,"result":[],"messages":[],"error":[{"code":2003,"message":"limited"}]}'
    )
    failure = failure_of(429, body)
    assert failure is not None
    assert (failure.code, failure.error.status) == (2003, 503)
