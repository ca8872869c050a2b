"""Log lines: whose they are, in one line each, and without secrets."""

import json
import logging
import sys
from typing import Any

import pytest
from django.test import Client

from agentflare import logs
from agentflare.celery import log_whose_it_is, tell_whose_it_is
from agentflare.logs import JsonFormatter, TextFormatter

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
