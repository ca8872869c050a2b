"""Every refusal in OpenAI's envelope, with its id, over HTTP."""

import gzip
import http.client
import json
import socket
from collections.abc import Iterator
from typing import Any
from urllib.parse import urlsplit

import openai
import pytest
import requests

GOOD = {"model": "llama-3.3-70b-fast", "messages": [{"role": "user", "content": "hi"}]}


@pytest.fixture
def cast(gateway: Any) -> Any:
    return gateway.cast()


def assert_envelope(response: requests.Response, status: int, **fields: Any) -> dict[str, Any]:
    assert response.status_code == status, response.text
    assert response.headers["content-type"] == "application/json"
    assert response.headers["x-request-id"].startswith("req_")
    error = response.json()["error"]
    assert set(error) == {"message", "type", "param", "code"}
    assert isinstance(error["message"], str)
    assert error["message"]
    for name, value in fields.items():
        assert error[name] == value, error
    return dict(error)


@pytest.mark.parametrize(
    ("change", "param", "code"),
    [
        ({"messages": None}, "messages", "invalid_type"),
        ({"messages": []}, "messages", "empty_array"),
        ({"messages": "hi"}, "messages", "invalid_type"),
        ({"messages": [{"content": "hi"}]}, "messages[0].role", "missing_required_parameter"),
        ({"messages": [{"role": "boss", "content": "hi"}]}, "messages[0].role", "invalid_value"),
        ({"messages": [{"role": "user", "content": 5}]}, "messages[0].content", "invalid_type"),
        (
            {"messages": [{"role": "user", "content": [{"type": "text"}]}]},
            "messages[0].content[0].text",
            "missing_required_parameter",
        ),
        (
            {"messages": [{"role": "user", "content": [{"type": "input_audio"}]}]},
            "messages[0].content[0]",
            "invalid_value",
        ),
        (
            {"messages": [{"role": "assistant", "tool_calls": [{"id": "x"}]}]},
            "messages[0].tool_calls[0].function",
            "missing_required_parameter",
        ),
        ({"tool_choice": {"type": "x"}}, "tool_choice.type", "invalid_value"),
        ({"stop": [5]}, "stop[0]", "invalid_type"),
        ({"Model": "x"}, "Model", "unknown_parameter"),
        ({"model": 5}, "model", "invalid_type"),
        ({"functions": [{"name": "f"}]}, "functions", "unsupported_parameter"),
        ({"messages": [{"role": "user"}]}, "messages[0].content", "missing_required_parameter"),
        (
            {"messages": [{"role": "tool", "content": "x"}]},
            "messages[0].tool_call_id",
            "missing_required_parameter",
        ),
        (
            {"messages": [{"role": "assistant"}]},
            "messages[0].content",
            "missing_required_parameter",
        ),
        ({"seed": 2**70}, "seed", "integer_above_max_value"),
        (
            {
                "messages": [
                    {
                        "role": "user",
                        "content": [
                            {"type": "text", "text": "x"},
                            {"type": "image_url", "image_url": {"url": "data:image/png;base64,x"}},
                        ],
                    }
                ]
            },
            "messages[0].content[1]",
            None,
        ),
        ({"max_tokens": 0}, "max_tokens", "integer_below_min_value"),
        ({"max_tokens": "many"}, "max_tokens", "invalid_type"),
        ({"temperature": 3}, "temperature", "integer_above_max_value"),
        ({"n": 0}, "n", "integer_below_min_value"),
        ({"stream": "yes"}, "stream", "invalid_type"),
        ({"stop": ["a", "b", "c", "d", "e"]}, "stop", "array_above_max_length"),
        ({"frequency_penalties": 1}, "frequency_penalties", "unknown_parameter"),
        ({"stream_options": {"include_usage": True}}, "stream_options", None),
        ({"tool_choice": "required"}, "tool_choice", None),
        ({"tools": [{"type": "function"}]}, "tools[0].function", "missing_required_parameter"),
        ({"logprobs": True}, "logprobs", "unsupported_parameter"),
        (
            {"response_format": {"type": "json_schema"}},
            "response_format.json_schema.schema",
            "missing_required_parameter",
        ),
    ],
)
def test_a_bad_parameter_is_named(
    gateway: Any, cast: Any, change: dict[str, Any], param: str, code: str | None
) -> None:
    response = gateway.post(cast, "chat/completions", {**GOOD, **change})

    assert_envelope(response, 400, type="invalid_request_error", param=param, code=code)


def test_null_is_absent_for_whatever_openai_knows(gateway: Any, cast: Any) -> None:
    names = ["audio", "functions", "function_call", "prediction", "web_search_options", "tools"]
    names += ["stop", "stream", "stream_options", "n", "seed", "response_format", "tool_choice"]

    response = gateway.post(cast, "chat/completions", {**GOOD, **dict.fromkeys(names)})

    assert response.status_code == 200, response.text


@pytest.mark.parametrize("model", ["llama-3.3-70b-fast", "qwen-3-30b"])
def test_a_schema_may_hold_integers_of_any_size(gateway: Any, cast: Any, model: str) -> None:
    parameters = {"type": "object", "properties": {"n": {"type": "integer", "maximum": 2**70}}}
    tool = {"type": "function", "function": {"name": "f", "parameters": parameters}}

    response = gateway.chat(cast, "no weather", model=model, tools=[tool])

    assert response.status_code == 200, response.text


@pytest.mark.parametrize("missing", ["model", "messages"])
def test_a_missing_parameter_is_named(gateway: Any, cast: Any, missing: str) -> None:
    body = {name: value for name, value in GOOD.items() if name != missing}

    response = gateway.post(cast, "chat/completions", body)

    assert_envelope(response, 400, param=missing, code="missing_required_parameter")


@pytest.mark.parametrize("body", [b"", b"{", b"[]", b'"text"', b"null", b"\xff\xfe", b"NaN"])
def test_a_body_that_is_no_json_object_is_refused(gateway: Any, cast: Any, body: bytes) -> None:
    response = requests.post(
        f"{gateway.base_url}/chat/completions",
        data=body,
        headers={**cast.auth, "Content-Type": "application/json"},
        timeout=10,
    )
    assert_envelope(response, 400, type="invalid_request_error")


def test_another_content_type_is_refused(gateway: Any, cast: Any) -> None:
    response = requests.post(
        f"{gateway.base_url}/chat/completions", data={"model": "x"}, headers=cast.auth, timeout=10
    )
    assert_envelope(response, 415, code="unsupported_media_type")


def test_a_compressed_body_is_refused_clearly(gateway: Any, cast: Any) -> None:
    response = requests.post(
        f"{gateway.base_url}/chat/completions",
        data=gzip.compress(json.dumps(GOOD).encode()),
        headers={**cast.auth, "Content-Type": "application/json", "Content-Encoding": "gzip"},
        timeout=10,
    )
    error = assert_envelope(response, 415)
    assert "gzip" in error["message"]


def test_a_body_over_the_limit_is_refused_in_the_envelope(gateway: Any, cast: Any) -> None:
    response = requests.post(
        f"{gateway.base_url}/chat/completions",
        data=b" " * (26 * 1024 * 1024 + 1),
        headers={**cast.auth, "Content-Type": "application/json"},
        timeout=30,
    )
    assert_envelope(response, 413, code="request_too_large")


def test_a_chunked_body_over_the_limit_is_refused_in_the_envelope(gateway: Any, cast: Any) -> None:
    def body() -> Iterator[bytes]:
        for _ in range(28):
            yield b" " * (1024 * 1024)

    response = requests.post(
        f"{gateway.base_url}/chat/completions",
        data=body(),
        headers={**cast.auth, "Content-Type": "application/json"},
        timeout=30,
    )
    assert_envelope(response, 413, code="request_too_large")


def test_a_chunked_body_is_read(gateway: Any, cast: Any) -> None:
    response = requests.post(
        f"{gateway.base_url}/chat/completions",
        data=iter([json.dumps(GOOD).encode()[:20], json.dumps(GOOD).encode()[20:]]),
        headers={**cast.auth, "Content-Type": "application/json"},
        timeout=10,
    )
    assert response.status_code == 200, response.text


@pytest.mark.parametrize("method", ["GET", "PUT", "DELETE", "PATCH", "OPTIONS"])
def test_a_wrong_method_is_refused_with_the_right_one(gateway: Any, cast: Any, method: str) -> None:
    response = requests.request(
        method, f"{gateway.base_url}/chat/completions", headers=cast.auth, timeout=10
    )
    assert_envelope(response, 405, code="method_not_allowed")
    assert "POST" in response.headers["allow"]


@pytest.mark.parametrize("path", ["", "nothing", "chat/completions/", "chat", "../v1/x", "é"])
def test_an_unknown_url_is_not_found_in_the_envelope(gateway: Any, cast: Any, path: str) -> None:
    response = requests.post(f"{gateway.base_url}/{path}", json=GOOD, headers=cast.auth, timeout=10)
    assert_envelope(response, 404, type="invalid_request_error")


@pytest.mark.parametrize(
    "header",
    [None, "", "Bearer", "Bearer ", "Basic abc", "Bearer sk-123", "Bearer oi_" + "x" * 52, "oi_x"],
)
def test_a_missing_or_wrong_key_is_refused_before_anything_else(
    gateway: Any, header: str | None
) -> None:
    headers = {} if header is None else {"Authorization": header}
    response = requests.post(
        f"{gateway.base_url}/chat/completions", data=b"{", headers=headers, timeout=10
    )
    assert_envelope(response, 401, type="invalid_request_error", code="invalid_api_key")


@pytest.mark.parametrize("scheme", ["bearer", "BEARER", "Bearer"])
def test_the_scheme_is_read_in_any_case(gateway: Any, cast: Any, scheme: str) -> None:
    response = requests.get(
        f"{gateway.base_url}/models", headers={"Authorization": f"{scheme} {cast.key}"}, timeout=10
    )
    assert response.status_code == 200


@pytest.mark.parametrize(
    ("model", "message"),
    [
        ("gpt-4o", "does not exist"),
        ("llama-2-7b", "retired"),
        ("apertus-1.5-8b", "no price"),
        ("\u0000", "does not exist"),
    ],
)
def test_a_model_that_is_not_served_says_why(
    gateway: Any, cast: Any, model: str, message: str
) -> None:
    response = gateway.chat(cast, "hi", model=model)
    error = assert_envelope(response, 404, code="model_not_found", param="model")
    assert message in error["message"]


def test_a_model_of_another_kind_is_refused_for_chat(gateway: Any, cast: Any) -> None:
    response = gateway.chat(cast, "hi", model="whisper")
    assert_envelope(response, 404, code="model_not_supported", param="model")


def test_a_model_that_cannot_do_it_refuses_before_anything_is_held(gateway: Any, cast: Any) -> None:
    tool = {"type": "function", "function": {"name": "f", "parameters": {"type": "object"}}}
    response = gateway.chat(cast, f"no tools {cast.code}", model="llama-3.1-8b", tools=[tool])
    assert_envelope(response, 400, param="tools", code="unsupported_parameter")
    assert gateway.upstream_calls(f"no tools {cast.code}") == []


def test_a_prompt_beyond_the_context_window_is_refused_as_such(gateway: Any, cast: Any) -> None:
    with pytest.raises(openai.BadRequestError) as refusal:
        openai.OpenAI(base_url=gateway.base_url, api_key=cast.key).chat.completions.create(
            model="llama-3.3-70b-fast",
            messages=[{"role": "user", "content": "word " * 30_000}],
        )
    assert refusal.value.code == "context_length_exceeded"


def test_a_suspended_tenant_is_refused_within_a_second(gateway: Any, cast: Any) -> None:
    from tenants.registry.services import suspend_tenant

    assert gateway.chat(cast, "hi").status_code == 200
    suspend_tenant(tenant=cast.tenant, reason="unpaid", actor="test")

    response = gateway.chat(cast, "hi")
    assert_envelope(response, 403, code="tenant_suspended")


def test_every_answer_has_an_id_of_its_own(gateway: Any, cast: Any) -> None:
    ids = {gateway.chat(cast, "hi").headers["x-request-id"] for _ in range(3)}
    ids.add(gateway.chat(cast, "hi", stream=True).headers["x-request-id"])
    ids.add(requests.get(f"{gateway.base_url}/nothing", timeout=5).headers["x-request-id"])
    ids.add(requests.get(f"{gateway.url}/health/live", timeout=5).headers["x-request-id"])
    assert len(ids) == 6


def test_a_connection_survives_errors_and_streams(gateway: Any, cast: Any) -> None:
    host = urlsplit(gateway.url).netloc
    connection = http.client.HTTPConnection(host, timeout=10)
    connection.connect()
    before = connection.sock
    headers = {**cast.auth, "Content-Type": "application/json"}
    for body in (b"{", json.dumps(GOOD), json.dumps({**GOOD, "stream": True}), json.dumps(GOOD)):
        connection.request("POST", "/v1/chat/completions", body=body, headers=headers)
        connection.getresponse().read()
    assert connection.sock is before


def test_head_has_the_headers_of_get_and_no_body(gateway: Any, cast: Any) -> None:
    got = requests.get(f"{gateway.base_url}/models", headers=cast.auth, timeout=10)
    head = requests.head(f"{gateway.base_url}/models", headers=cast.auth, timeout=10)
    assert (head.status_code, head.content) == (200, b"")
    assert head.headers["content-length"] == got.headers["content-length"]


def test_v1_itself_is_not_found_and_not_redirected(gateway: Any) -> None:
    assert_envelope(requests.get(f"{gateway.url}/v1", timeout=10, allow_redirects=False), 404)


def test_expect_100_continue_is_answered(gateway: Any, cast: Any) -> None:
    url = urlsplit(gateway.url)
    body = json.dumps(GOOD).encode()
    with socket.create_connection((url.hostname, url.port), timeout=10) as wire:
        wire.sendall(
            b"POST /v1/chat/completions HTTP/1.1\r\nHost: x\r\nConnection: close\r\n"
            b"Content-Type: application/json\r\nExpect: 100-continue\r\n"
            + f"Authorization: Bearer {cast.key}\r\nContent-Length: {len(body)}\r\n\r\n".encode()
        )
        assert wire.recv(64).startswith(b"HTTP/1.1 100")
        wire.sendall(body)
        answer = b""
        while piece := wire.recv(65_536):
            answer += piece
    assert answer.startswith(b"HTTP/1.1 200")


def test_nobody_without_credit_makes_us_read_a_large_body(gateway: Any) -> None:
    poor = gateway.cast(credit_nusd=0)  # never called before: the gate is cold
    response = requests.post(
        f"{gateway.base_url}/chat/completions",
        # Reading it would tell that it is no JSON.
        data=b"x" * 300_000,
        headers={**poor.auth, "Content-Type": "application/json"},
        timeout=30,
    )
    assert response.status_code == 429
    assert response.json()["error"]["code"] == "insufficient_quota"
    assert response.headers["x-should-retry"] == "false"


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("chat/completions", {**GOOD, "max_tokens": 3.0}),
        ("embeddings", {"model": "bge-m3", "input": [9906.0, 1917]}),
        ("run/llama-3.2-1b", {"prompt": "x", "max_tokens": 3.0}),
    ],
)
def test_a_whole_number_may_have_a_point(
    gateway: Any, cast: Any, path: str, body: dict[str, Any]
) -> None:
    """As JSON Schema has it, and clients in languages with one kind of number send it."""
    assert gateway.post(cast, path, body).status_code == 200
