"""Log lines: whose they are, in one line each, and without secrets."""

import json
import logging
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from django.http import StreamingHttpResponse
from django.test import Client, RequestFactory

from agentflare import logs
from agentflare.celery import log_whose_it_is, tell_whose_it_is
from agentflare.logs import JsonFormatter, TextFormatter
from agentflare.middleware import RequestIdMiddleware

KEY = "oi_507l05BcF2EhmFMEu80jOq77gbDIcVi2ZzH2QjvI8dS9nj0ukqif"
SECRETS = (KEY, f"Bearer {KEY}", "sk_live_abcdef123456", "whsec_AbC+/12=", "bearer abc.def.ghi")


def record(message: str, *args: Any, **extra: Any) -> logging.LogRecord:
    return logging.getLogger("x").makeRecord(
        "x", logging.INFO, "file", 1, message, args, None, extra=extra or None
    )


def as_json(made: logging.LogRecord) -> dict[str, Any]:
    line = JsonFormatter().format(made)
    assert "\n" not in line
    told: dict[str, Any] = json.loads(line)
    return told


def test_a_line_has_what_is_bound_and_what_was_given() -> None:
    logs.begin()  # requests of earlier tests have left theirs
    with logs.binding(request_id="req_1", tenant="acme01"):
        logs.bind(key="k1")
        told = as_json(record("Hello %s", "you", status=200))
    assert told["message"] == "Hello you"
    assert (told["request_id"], told["tenant"], told["key"]) == ("req_1", "acme01", "k1")
    assert (told["status"], told["level"], told["logger"]) == (200, "info", "x")
    assert told["time"].endswith("+00:00")
    assert "request_id" not in as_json(record("After"))


@pytest.mark.parametrize("secret", SECRETS)
@pytest.mark.parametrize("formatter", [JsonFormatter(), TextFormatter()])
def test_no_secret_is_in_a_line(formatter: logging.Formatter, secret: str) -> None:
    line = formatter.format(record("Refused: %s", {"Authorization": secret}))
    assert secret not in line
    assert secret.split()[-1][8:] not in line
    try:
        raise ValueError(secret)
    except ValueError:
        made = record("Failed")
        made.exc_info = sys.exc_info()
    assert secret not in formatter.format(made)


@pytest.mark.parametrize("secret", SECRETS)
@pytest.mark.parametrize("formatter", [JsonFormatter(), TextFormatter()])
def test_no_secret_is_in_what_is_bound_or_given_with_a_line(
    formatter: logging.Formatter, secret: str
) -> None:
    with logs.binding(key=secret):
        line = formatter.format(record("Hello", path=f"/t/{secret}/", many={"of": [secret]}))
    assert secret.split()[-1][8:] not in line
    assert "Hello" in line


@pytest.mark.parametrize("formatter", [JsonFormatter(), TextFormatter()])
def test_passwords_in_addresses_are_not_told(formatter: logging.Formatter) -> None:
    line = formatter.format(record("No %s", "redis://someone:s3cr!t-pass@10.0.0.1:6379/0"))
    assert "s3cr" not in line
    assert "redis://someone:…@10.0.0.1:6379/0" in line


@pytest.mark.parametrize("given", ["itself", "in a file", "in a list"])
def test_what_is_configured_as_a_secret_is_not_told(given: str, tmp_path: Path) -> None:
    file = tmp_path / "token"
    file.write_text("an-odd-value-42\n")
    variables = {
        "itself": {"CLOUDFLARE_API_TOKEN": "an-odd-value-42"},
        "in a file": {"CLOUDFLARE_API_TOKEN_FILE": str(file)},
        "in a list": {"SECRET_KEY_FALLBACKS": "an-odd-value-41,an-odd-value-42"},
    }
    code = "from agentflare import logs; print(logs.masked('with an-odd-value-42 and more'))"
    told = subprocess.run(
        [sys.executable, "-c", code],
        env={**os.environ, **variables[given]},
        capture_output=True,
        text=True,
        check=True,
    )
    assert told.stdout == "with … and more\n"


def test_an_exceptions_words_begin_no_line() -> None:
    made = record("Failed")
    try:
        raise ValueError("a\n2026-01-01 ERROR forged\x1b[31m\r\nx")
    except ValueError:
        made.exc_info = sys.exc_info()
    first, *others = TextFormatter().format(made).splitlines()
    assert "Failed" in first
    assert any("forged" in line for line in others)
    assert all(line.startswith("    ") and "\x1b" not in line for line in others)


def test_a_streams_line_comes_at_its_end(settings: Any, caplog: pytest.LogCaptureFixture) -> None:
    settings.ACCESS_LOG = True

    def parts() -> Iterator[bytes]:
        yield b"one"
        logs.bind(outcome="completed", cost_nusd="42")
        yield b"two"

    middleware = RequestIdMiddleware(lambda request: StreamingHttpResponse(parts()))
    with caplog.at_level(logging.INFO, logger="agentflare.access"):
        answer = middleware(RequestFactory().get("/v1/chat/completions"))
        body = iter(answer)  # type: ignore[call-overload]
        assert next(body) == b"one"
        assert not caplog.records
        assert next(body) == b"two"
        answer.close()
    (line,) = caplog.records
    told = as_json(line)
    assert (told["outcome"], told["cost_nusd"], told["status"]) == ("completed", "42", 200)
    assert told["ms"] >= told["begun_ms"] > 0


@pytest.mark.parametrize(
    "evil", ["a\nERROR forged", "a\r\nx", "a\x1b[31m", "a\u2028b", "a\x00b", "a\x85b"]
)
def test_nobody_begins_a_line_of_their_own(evil: str) -> None:
    line = TextFormatter().format(record("Path %s", evil))
    assert len(line.splitlines()) == 1
    assert "\x1b" not in line
    assert "\x00" not in line
    assert as_json(record("Path %s", evil))["message"] == f"Path {evil}"


def test_what_cannot_be_json_is_text_all_the_same() -> None:
    assert as_json(record("x", what=object(), many={1, 2}))["message"] == "x"


def test_each_request_has_a_line_with_its_id_and_no_query(
    acme: Any, settings: Any, caplog: pytest.LogCaptureFixture
) -> None:
    settings.ACCESS_LOG = True
    with caplog.at_level(logging.INFO, logger="agentflare.access"):
        Client().get("/health/live")
        answer = Client().get("/v1/models?secret=1", headers={"x-api-key": acme.key})
    (line,) = [made for made in caplog.records if made.name == "agentflare.access"]
    told = as_json(line)
    assert (told["method"], told["path"], told["status"]) == ("GET", "/v1/models", 200)
    assert told["request_id"] == answer["x-request-id"]
    assert told["tenant"] == acme.code
    assert "secret" not in json.dumps(told)
    assert acme.key not in json.dumps(told)


def test_a_task_has_the_id_of_the_request_that_caused_it() -> None:
    headers: dict[str, Any] = {}
    with logs.binding(request_id="req_1"):
        tell_whose_it_is(headers=headers)
    assert headers == {"agentflare_request_id": "req_1"}

    class Task:
        name = "a.task"
        request = type("Request", (), headers)

    with logs.binding():
        log_whose_it_is(task_id="t1", task=Task)
        assert logs.bound() == {"task": "a.task", "task_id": "t1", "request_id": "req_1"}
