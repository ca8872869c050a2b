"""What Cloudflare tells afterwards, and what is no use of it."""

import json
from collections.abc import Iterator
from datetime import date
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import Any

import pytest

from inference.upstreams.accounts import WORKERS_AI, Account
from inference.workers_ai.afterwards import AfterwardsError, log_row, neurons_by_model

DAY = date(2026, 3, 1)
GROUP = {"sum": {"totalNeurons": 1.5}, "dimensions": {"modelId": "@cf/x/y"}}


def told(*groups: Any) -> dict[str, Any]:
    accounts = [{"aiInferenceAdaptiveGroups": list(groups)}]
    return {"data": {"viewer": {"accounts": accounts}}, "errors": None}


class Cloudflare(ThreadingHTTPServer):
    """Answers what a test has put into `status` and `body`."""

    status = 200
    body = b""

    @property
    def account(self) -> Account:
        url = f"http://127.0.0.1:{self.server_port}"
        return Account("x", WORKERS_AI, url, "account-of-x", "token-of-x", "gateway-of-x")

    def answers(self, body: Any, status: int = 200) -> None:
        self.status = status
        self.body = body if isinstance(body, bytes) else json.dumps(body).encode()


class Handler(BaseHTTPRequestHandler):
    server: Cloudflare

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers.get("Content-Length", 0)))
        self.send_response(self.server.status)
        self.send_header("Content-Length", str(len(self.server.body)))
        self.end_headers()
        self.wfile.write(self.server.body)

    def do_GET(self) -> None:
        self.do_POST()

    def log_message(self, *_: Any) -> None:
        pass


@pytest.fixture
def cloudflare() -> Iterator[Cloudflare]:
    with Cloudflare(("127.0.0.1", 0), Handler) as server:
        Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
        yield server
        server.shutdown()


@pytest.mark.parametrize(
    ("status", "body", "words"),
    [
        (200, {"data": None, "errors": [{"message": "quota exceeded"}]}, "quota exceeded"),
        (200, {"data": None, "errors": ["?"]}, "no reason given"),
        (200, {"data": {"viewer": None}, "errors": None}, "no known form"),
        (200, {"data": {"viewer": {"accounts": []}}}, "does not see the account"),
        (200, {}, "no known form"),
        (200, [], "no known form"),
        (200, told({**GROUP, "sum": {"totalNeurons": "many"}}), "no known form"),
        (200, told({**GROUP, "sum": {"totalNeurons": -1}}), "no known form"),
        (200, told({**GROUP, "dimensions": {"modelId": None}}), "no known form"),
        (200, told({**GROUP, "dimensions": None}), "no known form"),
        (403, {"errors": [{"message": "token-of-x is bad"}]}, "status 403.*Account Analytics"),
        (500, {"errors": None}, "status 500: no reason given"),
    ],
)
def test_answers_of_no_use_are_told_clearly(
    cloudflare: Cloudflare, status: int, body: Any, words: str
) -> None:
    cloudflare.answers(body, status)

    with pytest.raises(AfterwardsError, match=words) as caught:
        neurons_by_model(cloudflare.account, DAY)

    assert "token-of-x" not in str(caught.value)


@pytest.mark.parametrize("body", [b"", b"<html>", b'{"data": ', b"[" * 100_000])
def test_what_is_no_json_is_told_clearly(cloudflare: Cloudflare, body: bytes) -> None:
    cloudflare.answers(body)

    with pytest.raises(AfterwardsError, match="no JSON"):
        neurons_by_model(cloudflare.account, DAY)


def test_groups_of_one_model_are_added_up(cloudflare: Cloudflare) -> None:
    cloudflare.answers(told(GROUP, GROUP))

    assert neurons_by_model(cloudflare.account, DAY) == {"@cf/x/y": 3}


def test_a_row_with_odd_figures_has_none(cloudflare: Cloudflare) -> None:
    row = {"tokens_in": -5, "tokens_out": "7", "usage_metadata": [], "cached": "yes"}
    cloudflare.answers({"success": True, "result": row})

    found = log_row(cloudflare.account, "01X")

    assert found is not None
    assert (found.input_tokens, found.output_tokens, found.is_cached) == (0, 0, False)


@pytest.mark.parametrize(
    ("status", "body", "is_for_all"),
    [
        (400, {"success": False, "errors": [{"code": 7001, "message": "bad id"}]}, False),
        (200, {"success": True, "result": None}, False),
        (403, {"success": False, "errors": [{"code": 10000, "message": "no"}]}, True),
        (429, {"success": False, "errors": []}, True),
        (502, b"<html>", True),
    ],
)
def test_whose_fault_it_is_that_a_row_cannot_be_had(
    cloudflare: Cloudflare, status: int, body: Any, is_for_all: bool
) -> None:
    cloudflare.answers(body, status)

    with pytest.raises(AfterwardsError) as caught:
        log_row(cloudflare.account, "01X")

    assert caught.value.is_for_all == is_for_all
