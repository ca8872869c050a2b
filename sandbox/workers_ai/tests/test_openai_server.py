"""The plain OpenAI-compatible server, by hand and with OpenAI's own client."""

import base64
import json
import struct
import time
from typing import Any

import openai
import pytest
import requests

from sandbox.workers_ai.tests.client import Caller, ask, events, script

MODEL = "my-model"


def url(stand_in: Caller, path: str, account: str = "") -> str:
    between = f"/{account}" if account else ""
    return f"{stand_in.url}/openai{between}/v1/{path}"


def post(stand_in: Caller, path: str, body: dict[str, Any], account: str = "") -> requests.Response:
    address = url(stand_in, path, account)
    body = {"model": MODEL, **body}
    return requests.post(address, json=body, headers=stand_in.headers(), timeout=30)


def chat(stand_in: Caller, text: str, **fields: Any) -> requests.Response:
    return post(stand_in, "chat/completions", ask(text, **fields))


def client(stand_in: Caller) -> openai.OpenAI:
    return openai.OpenAI(base_url=f"{stand_in.url}/openai/v1", api_key="any", max_retries=0)


def frames(response: requests.Response) -> list[Any]:
    assert response.status_code == 200, response.text
    return list(events(response.content.decode()))


# --- Chat ------------------------------------------------------------------------------------


def test_chat_has_no_envelope_and_no_neurons(stand_in: Caller) -> None:
    response = chat(stand_in, script(text="Lima."))

    body = response.json()
    assert body["object"] == "chat.completion"
    assert body["model"] == MODEL
    assert body["choices"][0]["message"] == {"role": "assistant", "content": "Lima."}
    assert body["choices"][0]["finish_reason"] == "stop"
    assert body["usage"]["total_tokens"] > body["usage"]["completion_tokens"] > 0
    assert "neurons" not in body["usage"]
    assert not {"cf-ai-neurons", "cf-ai-req-id"} & set(response.headers)
    assert response.headers["x-request-id"] == stand_in.calls()[-1]["request_id"]


@pytest.mark.parametrize("options", [None, {}, {"include_usage": False}])
def test_stream_tells_no_usage_unless_asked(stand_in: Caller, options: Any) -> None:
    found = frames(chat(stand_in, script(tokens=3), stream=True, stream_options=options))

    assert found[-1] == "[DONE]"
    assert [chunk["choices"][0]["delta"] for chunk in found[:-1]] == [
        {"role": "assistant", "content": ""},
        {"content": "tok1"},
        {"content": " tok2"},
        {"content": " tok3"},
    ]
    assert found[-2]["choices"][0]["finish_reason"] == "stop"
    assert not any("usage" in chunk or "p" in chunk for chunk in found[:-1])


def test_stream_ends_with_usage_when_asked(stand_in: Caller) -> None:
    options = {"include_usage": True}
    found = frames(chat(stand_in, script(tokens=3), stream=True, stream_options=options))

    assert found[-2]["choices"] == []
    assert found[-2]["usage"]["completion_tokens"] == 3
    assert not any("usage" in chunk for chunk in found[:-2])


def test_tool_calls_and_reasoning(stand_in: Caller) -> None:
    calls = [{"name": "weather", "arguments": {"city": "Lima"}}]
    text = script(text="", reasoning="Hm.", tool_calls=calls)

    message = chat(stand_in, text).json()["choices"][0]["message"]
    chunks = frames(chat(stand_in, text, stream=True))[:-1]

    assert message["content"] is None
    assert message["reasoning_content"] == "Hm."
    assert message["tool_calls"][0]["function"]["name"] == "weather"
    parts = [
        call["function"].get("arguments", "")
        for chunk in chunks
        for call in chunk["choices"][0]["delta"].get("tool_calls", [])
    ]
    assert json.loads("".join(parts)) == {"city": "Lima"}
    assert chunks[-1]["choices"][0]["finish_reason"] == "tool_calls"


# --- Completions -----------------------------------------------------------------------------


def test_text_completion(stand_in: Caller) -> None:
    body = post(stand_in, "completions", {"prompt": script(text="there was")}).json()

    assert body["object"] == "text_completion"
    assert body["id"].startswith("cmpl-")
    assert body["choices"][0]["text"] == "there was"
    assert body["choices"][0]["finish_reason"] == "stop"


def test_text_completion_is_short_unless_told(stand_in: Caller) -> None:
    prompt = script(tokens=30)

    short = post(stand_in, "completions", {"prompt": prompt}).json()
    long = post(stand_in, "completions", {"prompt": prompt, "max_tokens": 30}).json()

    assert (short["usage"]["completion_tokens"], short["choices"][0]["finish_reason"]) == (
        16,
        "length",
    )
    assert long["usage"]["completion_tokens"] == 30


def test_several_prompts_are_several_choices(stand_in: Caller) -> None:
    prompts = [script(text="one"), script(text="two")]

    body = post(stand_in, "completions", {"prompt": prompts}).json()
    stream = frames(post(stand_in, "completions", {"prompt": prompts, "stream": True}))

    assert [(choice["index"], choice["text"]) for choice in body["choices"]] == [
        (0, "one"),
        (1, "two"),
    ]
    assert [chunk["choices"][0]["text"] for chunk in stream[:-1]] == ["one", "two"]
    assert stream[1]["object"] == "text_completion"


# --- Embeddings and the list -----------------------------------------------------------------


def test_embeddings_as_numbers_and_as_base64(stand_in: Caller) -> None:
    plain = post(stand_in, "embeddings", {"input": ["a red fox", "tax"]}).json()
    encoded = post(stand_in, "embeddings", {"input": "a red fox", "encoding_format": "base64"})

    assert plain["object"] == "list"
    assert [len(item["embedding"]) for item in plain["data"]] == [384, 384]
    assert plain["usage"]["prompt_tokens"] == plain["usage"]["total_tokens"] > 0
    raw = base64.b64decode(encoded.json()["data"][0]["embedding"])
    values = struct.unpack(f"<{len(raw) // 4}f", raw)
    assert values == pytest.approx(plain["data"][0]["embedding"])


def test_embeddings_of_another_width_and_of_tokens(stand_in: Caller) -> None:
    narrow = post(stand_in, "embeddings", {"input": "x", "dimensions": 64}).json()
    tokens = post(stand_in, "embeddings", {"input": [[1, 2, 3], [4]]}).json()

    assert len(narrow["data"][0]["embedding"]) == 64
    assert tokens["usage"]["prompt_tokens"] == 4


def test_list_of_models(stand_in: Caller) -> None:
    listed = requests.get(url(stand_in, "models"), headers=stand_in.headers(), timeout=5).json()
    name = listed["data"][0]["id"]
    one = requests.get(url(stand_in, f"models/{name}"), headers=stand_in.headers(), timeout=5)

    assert listed["object"] == "list"
    assert one.json() == listed["data"][0]


# --- Refusals and faults ---------------------------------------------------------------------


def test_token_is_needed(stand_in: Caller) -> None:
    response = requests.post(url(stand_in, "chat/completions"), json={}, timeout=5)

    assert response.status_code == 401
    assert response.json()["error"]["type"] == "authentication_error"
    assert response.json()["error"]["code"] == "invalid_api_key"


@pytest.mark.parametrize(
    ("path", "body", "status", "kind"),
    [
        ("chat/completions", {}, 400, "invalid_request_error"),
        ("chat/completions", ask("x", temperature=9), 400, "invalid_request_error"),
        ("chat/completions", {**ask("x"), "model": 5}, 400, "invalid_request_error"),
        ("completions", {"prompt": 5}, 400, "invalid_request_error"),
        ("completions", {"prompt": [[1, 2]]}, 400, "invalid_request_error"),
        ("embeddings", {}, 400, "invalid_request_error"),
        ("embeddings", {"input": [""]}, 400, "invalid_request_error"),
        ("embeddings", {"input": ["x"] * 2_049}, 400, "invalid_request_error"),
        ("images/generations", {"prompt": "x"}, 404, "not_found_error"),
    ],
)
def test_refusals_have_openais_envelope(
    stand_in: Caller, path: str, body: dict[str, Any], status: int, kind: str
) -> None:
    response = post(stand_in, path, body)

    assert response.status_code == status
    assert response.json().keys() == {"error"}
    error = response.json()["error"]
    assert error.keys() == {"message", "type", "param", "code"}
    assert error["type"] == kind
    assert stand_in.calls()[-1]["ended"] == "refused"


def test_prompt_that_is_too_long(stand_in: Caller) -> None:
    error = chat(stand_in, "word " * 140_000).json()["error"]

    assert (error["type"], error["code"]) == ("invalid_request_error", "context_length_exceeded")


def test_error_of_a_directive(stand_in: Caller) -> None:
    error = {"status": 429, "code": "rate_limit_exceeded", "message": "Slow down"}

    response = chat(stand_in, script(error=error))

    assert response.status_code == 429
    assert response.json()["error"] == {
        "message": "Slow down",
        "type": "rate_limit_error",
        "param": None,
        "code": "rate_limit_exceeded",
    }


def test_servers_under_several_names_can_fail_apart(stand_in: Caller) -> None:
    body = ask(script(text="yes", account="first", error={"status": 503}))

    statuses = [
        post(stand_in, "chat/completions", body, account=name).status_code
        for name in ("first", "second", "")
    ]

    assert statuses == [503, 200, 200]
    assert [call["account"] for call in stand_in.calls()[-3:]] == ["first", "second", "openai"]


def test_faults_in_the_middle_of_a_stream(stand_in: Caller) -> None:
    broken = frames(chat(stand_in, script(tokens=3, error_frame_after=1), stream=True))
    ended = frames(chat(stand_in, script(tokens=3, end_after=2), stream=True))

    assert broken[-1]["error"]["type"] == "server_error"
    assert len(ended) == 3
    with pytest.raises(requests.exceptions.ChunkedEncodingError):
        chat(stand_in, script(tokens=3, cut_after=1), stream=True)


def test_embeddings_fail_as_told(stand_in: Caller) -> None:
    started = time.monotonic()
    failed = post(stand_in, "embeddings", {"input": script("x", error={"status": 500})})
    slow = post(
        stand_in, "embeddings", {"input": script("x", delay_ms=100, usage={"prompt_tokens": 7})}
    )

    assert failed.json()["error"]["type"] == "server_error"
    assert slow.json()["usage"]["prompt_tokens"] == 7
    assert time.monotonic() - started > 0.1


# --- OpenAI's client -------------------------------------------------------------------------


def test_openais_client_takes_all_of_it(stand_in: Caller) -> None:
    service = client(stand_in)
    messages: Any = [{"role": "user", "content": script(text="Lima.")}]

    answer = service.chat.completions.create(model=MODEL, messages=messages)
    with service.chat.completions.create(
        model=MODEL, messages=messages, stream=True, stream_options={"include_usage": True}
    ) as stream:
        chunks = list(stream)
    completion = service.completions.create(model=MODEL, prompt=script(text="yes"))
    embedding = service.embeddings.create(model=MODEL, input="a red fox")

    assert answer.choices[0].message.content == "Lima."
    text = [chunk.choices[0].delta.content or "" for chunk in chunks if chunk.choices]
    assert "".join(text) == "Lima."
    assert chunks[-1].usage == answer.usage
    assert completion.choices[0].text == "yes"
    assert len(embedding.data[0].embedding) == 384
    assert next(iter(service.models.list())).id


def test_openais_client_raises_its_own_errors(stand_in: Caller) -> None:
    messages: Any = [{"role": "user", "content": script(error={"status": 429})}]

    with pytest.raises(openai.RateLimitError):
        client(stand_in).chat.completions.create(model=MODEL, messages=messages)
