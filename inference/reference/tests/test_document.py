"""The document says what there is: no endpoint more, none less."""

import re
from typing import Any

import pytest
from django.test import Client
from django.urls import URLPattern, URLResolver, get_resolver
from jsonschema import Draft202012Validator

from inference.reference.document import document
from inference.reference.tests.references import expect_references_lead_somewhere

METHODS = {"get", "post", "put", "patch", "delete"}


def real_endpoints() -> set[tuple[str, str]]:
    found = set()
    below_v1 = [
        pattern
        for each in get_resolver().url_patterns
        if isinstance(each, URLResolver) and str(each.pattern) == "v1/"
        for pattern in each.url_patterns
    ]
    for pattern in below_v1:
        assert isinstance(pattern, URLPattern)
        route = str(pattern.pattern)
        view: Any = getattr(pattern.callback, "view_class", None)
        if not route or view is None:
            continue  # whatever else is asked for
        path = "/v1/" + re.sub(r"<(?:\w+:)?(\w+)>", r"{\1}", route)
        found |= {(method, path) for method in METHODS if hasattr(view, method)}
    return found


def described_endpoints() -> set[tuple[str, str]]:
    return {
        (method, path)
        for path, methods in document()["paths"].items()
        for method in methods
        if method in METHODS
    }


def test_every_endpoint_is_described_and_no_other() -> None:
    assert described_endpoints() == real_endpoints()


def test_every_reference_leads_somewhere() -> None:
    expect_references_lead_somewhere(document())


def test_every_operation_tells_its_errors_and_who_may_call() -> None:
    for path, methods in document()["paths"].items():
        for method, operation in methods.items():
            assert operation["summary"], path
            assert any(status.startswith("2") for status in operation["responses"]), path
            if method == "post":
                assert {"400", "401", "403"} <= set(operation["responses"]), path
                # Everything else names a model, or something in its path.
                names_nothing = path in {"/v1/keys", "/v1/conversations"}
                assert names_nothing or "404" in operation["responses"], path


@pytest.fixture
def client(_database: None) -> Client:
    return Client()


def test_the_document_is_served_without_a_key(client: Client) -> None:
    response = client.get("/v1/openapi.json")
    assert response.status_code == 200
    assert response["Content-Type"] == "application/json"
    assert response.json()["openapi"].startswith("3.1")


def test_the_page_shows_every_endpoint(client: Client) -> None:
    page = client.get("/docs/api").content.decode()
    for _, path in real_endpoints():
        assert path in page


def accepts(name: str, value: Any) -> bool:
    schema = {"$ref": f"#/components/schemas/{name}", "components": document()["components"]}
    return bool(Draft202012Validator(schema).is_valid(value))


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("ChatMessage", {"role": "tool", "content": "x"}),
        ("ChatMessage", {"role": "user"}),
        ("ChatMessage", {"role": "assistant", "content": None, "tool_calls": []}),
        ("AnthropicMessage", {"role": "user", "content": [{"type": "thinking", "thinking": "x"}]}),
        ("EmbeddingParams", {"model": "m", "input": ""}),
        ("EmbeddingParams", {"model": "m", "input": [200_000]}),
        ("CompletionParams", {"model": "m", "prompt": "x", "stop": ["a", "b", "c", "d", "e"]}),
        ("ImageGenerationParams", {"model": "m", "prompt": "x", "size": "large"}),
        ("ImageGenerationParams", {"model": "m", "prompt": "x", "stream": True}),
        ("ImageGenerationParams", {"model": "m", "prompt": "x", "n": 11}),
        ("SpeechParams", {"model": "m", "voice": "alloy", "input": "x", "speed": 2}),
    ],
)
def test_what_is_always_refused_is_not_in_the_document(name: str, value: Any) -> None:
    assert not accepts(name, value)


def test_what_is_taken_is_in_the_document() -> None:
    call = {"id": "1", "type": "function", "function": {"name": "f", "arguments": "{}"}}
    assert accepts("ChatMessage", {"role": "assistant", "tool_calls": [call]})
    assert accepts("ChatMessage", {"role": "assistant", "content": None, "refusal": "No."})
    assert accepts("ChatMessage", {"role": "user", "content": [{"type": "text", "text": "x"}]})
    assert accepts("AnthropicMessage", {"role": "user", "content": "x"})
    assert accepts("EmbeddingParams", {"model": "m", "input": [1, 2.0], "dimensions": 256.0})
