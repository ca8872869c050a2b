import json
from typing import Any

import pytest

from inference.upstreams.failures import Scope
from inference.workers_ai.failures import RULES, failure_of


def envelope(code: object, message: str) -> bytes:
    return json.dumps(
        {"errors": [{"code": code, "message": message}], "success": False, "result": {}}
    ).encode()


ROWS = [
    # upstream's status and code, then ours, then: may it be tried again, elsewhere; what is closed
    (429, 2003, 429, "rate_limit_exceeded", False, True, Scope.ACCOUNT),
    (400, 2008, 502, "upstream_error", False, True, Scope.ACCOUNT),
    (401, 2009, 502, "upstream_error", False, True, Scope.ACCOUNT),
    (504, 2014, 504, "upstream_timeout", False, True, Scope.MODEL),
    (424, 2016, 400, "content_policy_violation", False, False, Scope.CALL),
    (424, 2017, 400, "content_policy_violation", False, False, Scope.CALL),
    (402, 2021, 503, "upstream_busy", False, True, Scope.ACCOUNT),
    (429, 2045, 503, "upstream_busy", False, True, Scope.ACCOUNT),
    (400, 3003, 400, None, False, False, Scope.CALL),
    (413, 3006, 413, "request_too_large", False, False, Scope.CALL),
    (408, 3007, 504, "upstream_timeout", False, True, Scope.MODEL),
    (408, 3008, 502, "upstream_error", True, True, Scope.MODEL),
    (429, 3021, 429, "rate_limit_exceeded", False, True, Scope.TASK),
    (403, 3023, 502, "upstream_error", False, True, Scope.ACCOUNT),
    (400, 3030, 400, "content_policy_violation", False, False, Scope.CALL),
    (429, 3036, 429, "insufficient_quota", False, True, Scope.ACCOUNT),
    (400, 3039, 400, None, False, False, Scope.CALL),
    (429, 3040, 503, "upstream_busy", True, True, Scope.MODEL),
    (403, 3041, 502, "upstream_error", False, True, Scope.MODEL),
    (404, 3042, 404, "model_not_found", False, True, Scope.CALL),
    (500, 3043, 502, "upstream_error", True, True, Scope.MODEL),
    (408, 3046, 504, "upstream_timeout", False, True, Scope.MODEL),
    (429, 4006, 429, "insufficient_quota", False, True, Scope.ACCOUNT),
    (400, 5004, 400, None, False, False, Scope.CALL),
    (405, 5005, 400, None, False, False, Scope.CALL),
    (400, 5006, 400, None, False, False, Scope.CALL),
    (400, 5007, 404, "model_not_found", False, True, Scope.CALL),
    (403, 5016, 502, "upstream_error", False, True, Scope.MODEL),
    (403, 5018, 502, "upstream_error", False, True, Scope.MODEL),
    (405, 5019, 502, "upstream_error", False, True, Scope.CALL),
    (413, 5021, 400, "context_length_exceeded", False, True, Scope.CALL),
    (400, 5023, 400, None, False, False, Scope.CALL),
    (400, 5025, 400, None, False, False, Scope.CALL),
    (400, 5024, 400, "json_schema_not_met", True, True, Scope.CALL),
    (410, 5028, 404, "model_not_found", False, True, Scope.CALL),
    (403, 5035, 502, "upstream_error", False, True, Scope.MODEL),
    (404, 7000, 502, "upstream_error", False, True, Scope.CALL),
    (405, 7001, 502, "upstream_error", False, True, Scope.CALL),
    (404, 7003, 502, "upstream_error", False, True, Scope.ACCOUNT),
    (502, 7009, 502, "upstream_error", True, True, Scope.MODEL),
    (503, 7013, 503, "upstream_busy", True, True, Scope.MODEL),
    (400, 8001, 400, None, False, False, Scope.CALL),
    (400, 8002, 400, None, False, False, Scope.CALL),
    (400, 8006, 400, None, False, False, Scope.CALL),
    (400, 8007, 400, None, False, False, Scope.CALL),
    (400, 6003, 502, "upstream_error", False, True, Scope.ACCOUNT),
    (400, 6111, 502, "upstream_error", False, True, Scope.ACCOUNT),
    (403, 9109, 502, "upstream_error", False, True, Scope.ACCOUNT),
    (400, 10001, 502, "upstream_error", False, True, Scope.ACCOUNT),
    (401, 10000, 502, "upstream_error", False, True, Scope.ACCOUNT),
    # no code of theirs: the status decides
    (400, 0, 400, None, False, False, Scope.CALL),
    (403, 0, 502, "upstream_error", False, True, Scope.ACCOUNT),
    (413, 0, 413, "request_too_large", False, False, Scope.CALL),
    (429, 0, 503, "upstream_busy", True, True, Scope.MODEL),
    (500, 0, 502, "upstream_error", True, True, Scope.MODEL),
    (524, 0, 504, "upstream_timeout", False, True, Scope.MODEL),
]


@pytest.mark.parametrize("row", ROWS, ids=lambda row: f"{row[0]}-{row[1]}")
def test_each_code_has_its_error(row: Any) -> None:
    upstream_status, code, status, client_code, may_retry, may_fall_over, scope = row
    failure = failure_of(upstream_status, envelope(code, "AiError: something"))

    assert failure is not None
    assert (failure.error.status, failure.error.code) == (status, client_code)
    assert (failure.may_retry, failure.may_fall_over) == (may_retry, may_fall_over)
    assert failure.scope is scope


# What an input can do to a model. Anything else says the same of all tenants' calls, or nothing.
PROVOKED = {2014, 3007, 3008, 3043, 3046, 7009}


def test_failures_that_one_input_can_provoke_are_told_from_others() -> None:
    assert {code for code, rule in RULES.items() if rule.may_be_provoked} == PROVOKED
    for code in RULES:
        failure = failure_of(500, envelope(code, "x"))
        assert failure is not None
        assert failure.may_be_provoked == (code in PROVOKED)
    for page in (failure_of(504, b"<html>"), failure_of(500, b"<html>")):
        assert page is not None
        assert page.may_be_provoked


def test_every_rule_is_in_the_table_above() -> None:
    assert {row[1] for row in ROWS if row[1]} == set(RULES)


@pytest.mark.parametrize("code", [3021, 3040, 4006])
def test_refusals_that_pass_say_when_to_come_again(code: int) -> None:
    failure = failure_of(429, envelope(code, "x"))

    assert failure is not None
    seconds = int(failure.error.headers["retry-after"])
    assert 1 <= seconds <= 86_400
    assert 0 <= seconds * 1000 - int(failure.error.headers["retry-after-ms"]) < 1000
    # A spent allowance comes back at midnight: no use in trying before.
    assert (failure.error.headers.get("x-should-retry") == "false") == (code == 4006)


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


@pytest.mark.parametrize("code", [10000, 3023, 5016, 5018, 5035, 2009, 2021, 0])
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
    assert (failure.code, failure.error.status) == (2003, 429)


@pytest.mark.parametrize(("sandbox", "is_shown"), [(True, True), (False, False)])
def test_the_sandbox_says_what_to_install(settings: Any, sandbox: bool, is_shown: bool) -> None:
    settings.SANDBOX = sandbox
    failure = failure_of(500, envelope(3043, "AiError: Not installed. Run: make models"))

    assert failure is not None
    assert ("make models" in failure.error.message) is is_shown


@pytest.mark.parametrize("code", [3036, 4006])
def test_a_spent_allowance_of_ours_is_not_told_as_the_tenants(code: int) -> None:
    failure = failure_of(429, envelope(code, "account 123 has used up its neurons"))

    assert failure is not None
    assert "123" not in failure.error.message
    assert "Your credit is not concerned" in failure.error.message


@pytest.mark.parametrize("code", [3023, 3041, 5016, 5018, 5019, 5035, 7000, 7001, 7003, 10000])
def test_what_only_the_operator_can_mend_is_not_to_be_tried_again(code: int) -> None:
    failure = failure_of(403, envelope(code, "something"))

    assert failure is not None
    assert failure.error.headers == {"x-should-retry": "false"}


def test_a_spent_budget_of_a_policy_is_no_lack_of_capacity() -> None:
    body = {"error": {"message": "Spending limit exceeded", "bucket": "b", "spent": 2, "limit": 1}}
    failure = failure_of(429, json.dumps(body).encode())

    assert failure is not None
    assert (failure.error.status, failure.scope) == (503, Scope.ACCOUNT)
    assert not failure.may_retry


@pytest.mark.parametrize(("status", "client_status"), [(401, 502), (429, 503)])
def test_a_page_of_the_edge_is_read_by_its_status(status: int, client_status: int) -> None:
    failure = failure_of(status, b"<html>no</html>")

    assert failure is not None
    assert failure.error.status == client_status
