"""What a call really uses cannot be hidden from its hold: lies in bodies, files and answers."""

import socket
from typing import Any
from urllib.parse import urlsplit

import pytest
import requests

from inference.tests.settled import nusd, say, settled_record


@pytest.fixture
def cast(gateway: Any) -> Any:
    return gateway.cast()


def post(gateway: Any, cast: Any, path: str, **options: Any) -> Any:
    return requests.post(f"{gateway.base_url}/{path}", headers=cast.auth, timeout=30, **options)


@pytest.mark.parametrize(
    "caps",
    [
        {"max_tokens": 1, "max_completion_tokens": 100_000},
        {"max_completion_tokens": 1, "max_output_tokens": 100_000},
        {"input": "x", "max_tokens": 1},
    ],
)
def test_a_cap_has_one_name(gateway: Any, cast: Any, caps: dict[str, Any]) -> None:
    body = {"messages": [{"role": "user", "content": "x"}], **caps}
    response = post(gateway, cast, "run/gpt-oss-20b", json=body)

    assert response.status_code == 400, response.text
    assert "most tokens" in response.json()["error"]["message"]


@pytest.mark.parametrize("content_type", ["application/octet-stream", "audio/wav"])
def test_a_body_in_another_form_than_the_models_is_refused(
    gateway: Any, cast: Any, content_type: str
) -> None:
    hidden = b'{"prompt": "a long text that nobody counts"}'
    response = requests.post(
        f"{gateway.base_url}/run/llama-3.2-1b",
        data=hidden,
        headers={**cast.auth, "Content-Type": content_type},
        timeout=30,
    )
    assert response.status_code == 400
    assert "takes a JSON body" in response.json()["error"]["message"]


def test_text_that_looks_like_a_picture_is_counted_as_text(gateway: Any, cast: Any) -> None:
    hidden = "data:image/png;base64," + "word " * 20_000
    plain = post(gateway, cast, "run/llama-3.2-1b", json={"prompt": hidden, "max_tokens": 1})

    assert plain.status_code == 200, plain.text
    record = settled_record(cast)
    assert record.input_tokens > 19_000
    assert record.cost_nusd <= record.estimated_nusd


@pytest.mark.parametrize(
    "usage",
    [
        {"prompt_tokens": 0, "completion_tokens": 0, "neurons": None},
        {"prompt_tokens": 0, "completion_tokens": 0, "neurons": 0},
        {"completion_tokens": 900_000_000},
        {"neurons": 1e15},
    ],
)
def test_upstreams_lies_make_a_call_neither_free_nor_dear(
    gateway: Any, cast: Any, usage: dict[str, Any]
) -> None:
    body = {
        "messages": [{"role": "user", "content": say(text="one two three", usage=usage)}],
        "max_tokens": 50,
    }
    response = post(gateway, cast, "run/llama-3.3-70b-fast", json=body)

    assert response.status_code == 200, response.text
    record = settled_record(cast)
    assert 0 < record.cost_nusd <= record.estimated_nusd
    assert record.cost_nusd == nusd(response.headers["X-Request-Cost"])


def test_a_tool_is_no_picture(gateway: Any, cast: Any) -> None:
    hidden = {"url": "data:image/png;base64," + "word " * 10_000}
    tool = {"type": "function", "function": {"name": "f", "description": "", "parameters": hidden}}
    messages = [{"role": "user", "content": "x"}]
    body = {"messages": messages, "tools": [tool], "max_tokens": 1}
    response = post(gateway, cast, "run/gpt-oss-20b", json=body)

    assert response.status_code == 200, response.text
    record = settled_record(cast)
    assert record.input_tokens > 9_000
    assert record.cost_nusd <= record.estimated_nusd


def test_a_streams_prompt_is_charged_where_upstream_forgets_it(gateway: Any, cast: Any) -> None:
    text = "word " * 500 + say(text="one two", usage={"prompt_tokens": 0, "completion_tokens": 2})
    body = {"messages": [{"role": "user", "content": text}], "max_tokens": 5, "stream": True}
    response = post(gateway, cast, "run/llama-3.3-70b-fast", json=body)

    assert response.text.endswith("data: [DONE]\n\n")
    record = settled_record(cast)
    assert 500 <= record.input_tokens < 600
    assert record.cost_nusd <= record.estimated_nusd


@pytest.mark.parametrize("name", ["options", "requests", "model"])
def test_a_form_has_no_options_either(gateway: Any, cast: Any, name: str) -> None:
    form = {"prompt": (None, "x"), name: (None, "x")}
    response = post(gateway, cast, "run/flux-2-dev", files=form)

    assert response.status_code == 400, response.text
    assert response.json()["error"]["param"] == name


def nested(depth: int) -> Any:
    value: Any = "x"
    for _ in range(depth):
        value = [value]
    return value


@pytest.mark.parametrize("content", [nested(300), [0] * 150_000])
def test_an_absurd_document_is_refused_and_not_counted(
    gateway: Any, cast: Any, content: Any
) -> None:
    body = {"prompt": "x", "guided_json": {"enum": content}}
    response = post(gateway, cast, "run/llama-3.2-1b", json=body)

    assert response.status_code == 400, response.text
    assert "values" in response.json()["error"]["message"]


@pytest.mark.parametrize("result", [None, {}, []])
def test_an_answer_without_a_result_is_no_success(gateway: Any, cast: Any, result: Any) -> None:
    body = {"text": say(json=result), "target_lang": "fr"}
    response = post(gateway, cast, "run/m2m100", json=body)

    assert response.status_code == 502, response.text
    assert settled_record(cast).cost_nusd == 0


def test_a_form_of_too_many_parts_is_the_clients_mistake(gateway: Any, cast: Any) -> None:
    files = [("image", (f"{number}.png", b"x")) for number in range(120)]
    response = post(gateway, cast, "run/flux-2-dev", data={"prompt": "x"}, files=files)

    assert response.status_code == 400, response.text
    assert "too many" in response.json()["error"]["message"]


@pytest.mark.parametrize("content_type", ["audio/wav", "multipart/form-data; boundary=x"])
def test_a_compressed_body_is_refused(gateway: Any, cast: Any, content_type: str) -> None:
    response = requests.post(
        f"{gateway.base_url}/run/whisper",
        data=b"\x1f\x8b",
        headers={**cast.auth, "Content-Type": content_type, "Content-Encoding": "gzip"},
        timeout=30,
    )
    assert response.status_code == 415, response.text


def test_a_sound_that_was_cut_off_on_its_way_is_not_heard(gateway: Any, cast: Any) -> None:
    url = urlsplit(gateway.url)
    with socket.create_connection((url.hostname, url.port), timeout=30) as wire:
        wire.sendall(
            b"POST /v1/run/whisper HTTP/1.1\r\nHost: x\r\nContent-Type: audio/wav\r\n"
            + f"Authorization: Bearer {cast.key}\r\nContent-Length: 500\r\n\r\nRIFF".encode()
        )
        wire.shutdown(socket.SHUT_WR)
        answer = b""
        while piece := wire.recv(65_536):
            answer += piece

    assert answer.startswith(b"HTTP/1.1 400")
    assert b"ends before the length" in answer
