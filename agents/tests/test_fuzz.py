"""Requests that are almost right, at every endpoint below /v1: refused in the envelope, or served,
and never our fault.

The same few hundred each time; FUZZ_EXAMPLES=20000 tries that many others.
"""

import json
import os
from collections.abc import Iterator
from typing import Any

import orjson
import pytest
import requests
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from inference.reference.groups import OPERATIONS
from inference.reference.tests.test_document import real_endpoints
from tenants.keys.models import Scope
from tenants.keys.services import create_api_key

EXAMPLES = int(os.environ.get("FUZZ_EXAMPLES") or 0)
# What a client may be answered that is at fault itself, and where upstream or a store is.
OURS = {500, 501, 502, 504, 505}
Path = tuple[str | int, ...]

NASTY: list[Any] = [
    *(None, True, 0, -1, 1, 2**31, 2**63, 2**64, -(2**63) - 1, 1.5, -0.0, 1e308, 10**40),
    *(
        "",
        " ",
        "\0",
        "a\0b",
        "\ud800",
        "\u202e\u2028",
        "\r\nX: y",
        "²",
        "9" * 400,
        "NaN",
        "x" * 70_000,
    ),
    *(
        "../../etc/passwd",
        "http://127.0.0.1:1/",
        "http://[::ffff:127.0.0.1]/",
        "data:,",
        "data:;base64,@",
    ),
    *("file:///etc/passwd", "=1+1", "{{7*7}}", "'; --", "<x>", "1e999999", "oi_", "bge-m3"),
    *([], [None], [[]], [{}], {}, {"": ""}, {"a\0": "b\0"}, {"type": "x"}, {"type": None}),
    *({"type": "image_url", "image_url": {"url": "data:image/png;base64,AAAA"}},),
    *({"type": "json_schema", "json_schema": {"name": "x", "schema": {"$ref": "#"}}},),
]
nasty = st.one_of(
    st.sampled_from(NASTY),
    st.integers(),
    st.floats(),
    st.text(max_size=20),
    st.lists(st.sampled_from(NASTY), max_size=3),
    st.dictionaries(st.text(max_size=5), st.sampled_from(NASTY), max_size=3),
)
header_text = st.text(st.characters(min_codepoint=0x21, max_codepoint=0xFF), max_size=60)
HEADERS = (
    *("Idempotency-Key", "X-Request-Id", "User-Agent", "traceparent", "X-Forwarded-For", "Accept"),
    *("OpenAI-Beta", "anthropic-version", "Last-Event-ID", "Range", "X-HTTP-Method-Override"),
    *("Content-Encoding", "Accept-Encoding", "Cookie", "Origin", "Forwarded", "If-None-Match"),
)
QUERY = (
    *("limit", "after", "before", "order", "stream", "starting_after", "from", "to", "group_by"),
    *("model", "key_id", "include", "include[]", "end_user", "start", "end", "bucket", "format"),
)


def examples_of(method: str, path: str) -> list[dict[str, Any]]:
    """Bodies that are taken."""
    found = [
        each.whole_body
        for operation in OPERATIONS
        if (operation.method, operation.path) == (method, path)
        for each in operation.examples
    ]
    return found or [{}]


def places(value: Any, here: Path = ()) -> Iterator[Path]:
    yield here
    if isinstance(value, dict):
        for name, inner in value.items():
            yield from places(inner, (*here, name))
    if isinstance(value, list):
        for number, inner in enumerate(value):
            yield from places(inner, (*here, number))


def put(value: Any, place: Path, new: Any) -> Any:
    if not place:
        return new
    first, *rest = place
    copy = value.copy()
    copy[first] = put(value[first], tuple(rest), new)
    return copy


def as_bytes(body: Any) -> bytes:
    """Also of what is no JSON, as other writers have it: NaN, half a character, long numbers."""
    return json.dumps(body).encode()


@st.composite
def bodies(draw: Any, taken: list[dict[str, Any]]) -> bytes:
    body: Any = draw(st.sampled_from(taken))
    for _ in range(draw(st.integers(1, 3))):
        place = draw(st.sampled_from(list(places(body))))
        if place and draw(st.booleans()):
            body = put(body, place, draw(nasty))
        elif isinstance(body, dict):
            body = {**body, draw(st.sampled_from(FIELDS)): draw(nasty)}
    written = as_bytes(body)
    if draw(st.integers(0, 9)):
        return written
    at = draw(st.integers(0, len(written)))
    return written[:at] + draw(st.binary(max_size=4)) + written[at + draw(st.integers(0, 4)) :]


FIELDS = (
    *("metadata", "tools", "tool_choice", "response_format", "stop", "stream", "stream_options"),
    *("logit_bias", "user", "n", "seed", "max_tokens", "temperature", "messages", "input", "model"),
    *("instructions", "previous_response_id", "conversation", "text", "reasoning", "include"),
    *("system", "thinking", "dimensions", "encoding_format", "size", "image", "voice", "title"),
)
ids = st.one_of(
    st.sampled_from(
        ["x", "..", "%00", "%FF", "a%0D%0Ab", "%2E%2E%2F", "9" * 300, "conv_" + "0" * 32]
    ),
    st.text(max_size=12).map(lambda text: requests.utils.quote(text, safe="") or "x"),  # type: ignore[attr-defined]
)


@st.composite
def calls(draw: Any) -> tuple[str, str, dict[str, bytes], bytes | None]:
    method, path = draw(st.sampled_from(sorted(real_endpoints())))
    taken = examples_of(method, path)
    while "{" in path:
        before, _, after = path.partition("{")
        path = before + draw(ids) + after.partition("}")[2]
    query = draw(st.dictionaries(st.sampled_from(QUERY), st.sampled_from(NASTY), max_size=3))
    if query:
        texts = {name: str(value)[:2000] for name, value in query.items()}
        path += "?" + requests.models.RequestEncodingMixin._encode_params(  # type: ignore[attr-defined]
            {name: text.encode(errors="surrogatepass") for name, text in texts.items()}
        )
    given_headers = draw(st.dictionaries(st.sampled_from(HEADERS), header_text, max_size=2))
    headers = {name: text.encode("latin1") for name, text in given_headers.items()}
    body = None
    if method == "post":
        headers["Content-Type"] = draw(
            st.sampled_from([b"application/json"] * 8 + [b"multipart/form-data; boundary=x", b"x"])
        )
        body = draw(bodies(taken))
    return method, path, headers, body


@pytest.fixture
def caller(gateway: Any) -> requests.Session:
    cast = gateway.cast()
    _, key = create_api_key(tenant=cast.tenant, name="all", actor="test", scopes=list(Scope))
    session = requests.Session()
    session.headers["Authorization"] = f"Bearer {key}"
    return session


@settings(
    max_examples=EXAMPLES or 250,
    derandomize=not EXAMPLES,
    database=None,
    deadline=None,
    suppress_health_check=list(HealthCheck),
    # Smaller ones would take as long again, over HTTP.
    phases=[Phase.generate] if not EXAMPLES else [Phase.generate, Phase.shrink],
)
@given(call=calls())
def ask_and_look(gateway: Any, caller: requests.Session, call: Any) -> None:
    method, path, headers, body = call
    answer = caller.request(
        method, gateway.url + path, headers=headers, data=body, timeout=60, allow_redirects=False
    )
    assert answer.status_code not in OURS, (call, answer.text[:300])
    assert answer.headers["x-request-id"].startswith("req_")
    if answer.status_code >= 400:
        told = orjson.loads(answer.content)
        assert told["error"]["type"], call
        assert told["error"]["message"], call
    assert "set-cookie" not in answer.headers


@pytest.mark.timeout(600 + EXAMPLES)
def test_what_is_almost_right_is_no_fault_of_ours(gateway: Any, caller: requests.Session) -> None:
    ask_and_look(gateway, caller)
