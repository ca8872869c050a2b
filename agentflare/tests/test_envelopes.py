"""Which envelope an error comes in, and what Anthropic's makes of ours."""

from typing import Any

import orjson
import pytest
from django.test import RequestFactory

from agentflare import api, errors
from agentflare.envelopes import speaks_anthropic
from agentflare.ids import uuid7


def request(path: str, **headers: str) -> Any:
    made: Any = RequestFactory().get(path, headers=headers)
    made.id = uuid7()
    return made


@pytest.mark.parametrize(
    ("path", "headers", "is_theirs"),
    [
        ("/v1/messages", {}, True),
        ("/v1/messages/count_tokens", {}, True),
        ("/v1/messages?beta=true", {}, True),
        ("/v1/messagesX", {}, False),
        ("/v1/models", {}, False),
        ("/v1/models", {"anthropic-version": "2023-06-01"}, True),
        ("/v1/models/x", {"anthropic-version": "2023-06-01"}, True),
        ("/v1/chat/completions", {"anthropic-version": "2023-06-01"}, False),
    ],
)
def test_the_path_chooses_and_for_models_the_client(
    path: str, headers: dict[str, str], is_theirs: bool
) -> None:
    assert speaks_anthropic(request(path, **headers)) is is_theirs


@pytest.mark.parametrize(
    ("error", "status", "kind"),
    [
        (errors.InvalidRequestError("x"), 400, "invalid_request_error"),
        (errors.MissingApiKeyError(), 401, "authentication_error"),
        (errors.InsufficientCreditError("x"), 402, "billing_error"),
        (errors.TenantSuspendedError("x"), 403, "permission_error"),
        (errors.ModelNotFoundError("x"), 404, "not_found_error"),
        (errors.MethodNotAllowedError("x"), 405, "invalid_request_error"),
        (errors.BodyTooLargeError(1), 413, "request_too_large"),
        (errors.CreditHeldError("x"), 429, "rate_limit_error"),
        (errors.UpstreamError("x"), 502, "api_error"),
        (errors.ServiceUnavailableError(), 503, "api_error"),
        (errors.UpstreamTimeoutError("x"), 504, "timeout_error"),
        (errors.UpstreamBusyError("x"), 529, "overloaded_error"),
    ],
)
def test_status_and_type_are_anthropics(error: errors.GatewayError, status: int, kind: str) -> None:
    asked = request("/v1/messages")
    response = api.error_response(error, request=asked)
    body = orjson.loads(response.content)

    assert (response.status_code, body["error"]["type"]) == (status, kind)
    assert body["request_id"] == f"req_{asked.id.hex}"
    assert body["error"].get("details", {}).get("error_code") == error.code
    for name, value in error.headers.items():
        assert response[name] == value


def test_our_own_faults_have_it_too() -> None:
    body = orjson.loads(api.server_error(request("/v1/messages")).content)
    assert (body["type"], body["error"]["type"]) == ("error", "api_error")
    assert "error" in orjson.loads(api.server_error(request("/v1/chat/completions")).content)
