"""Every live kind of model takes directives, and fails in every way it is told to."""

import base64
import json
import time
from collections.abc import Callable
from typing import Any

import pytest
import requests

from sandbox.workers_ai.catalogue import Catalogue
from sandbox.workers_ai.kinds import CHAT_KINDS, HANDLERS
from sandbox.workers_ai.settings import DEFAULT_CATALOGUE
from sandbox.workers_ai.tests.client import Caller, script
from sandbox.workers_ai.tests.sounds import wav

Send = Callable[[Caller, str], requests.Response]


def as_json(model: str, **fields: Any) -> Send:
    """`TEXT` in a field becomes the directive."""

    def send(stand_in: Caller, text: str) -> requests.Response:
        def filled(value: Any) -> Any:
            if isinstance(value, str):
                return value.replace("TEXT", text)
            if isinstance(value, list):
                return [filled(item) for item in value]
            return {k: filled(v) for k, v in value.items()} if isinstance(value, dict) else value

        return stand_in.run(model, filled(fields))

    return send


def as_form(stand_in: Caller, text: str) -> requests.Response:
    url = f"{stand_in.base}/run/@cf/black-forest-labs/flux-2-klein-4b"
    parts = {"prompt": (None, text), "width": (None, "256"), "height": (None, "256")}
    return requests.post(url, files=parts, headers=stand_in.headers(), timeout=10)


def as_bytes(stand_in: Caller, text: str) -> requests.Response:
    headers = stand_in.headers({"Content-Type": "audio/wav"})
    url = f"{stand_in.base}/run/@cf/deepgram/nova-3"
    return requests.post(url, data=wav(0.1) + text.encode(), headers=headers, timeout=10)


def as_base64(stand_in: Caller, text: str) -> requests.Response:
    audio = base64.b64encode(wav(0.1) + text.encode()).decode()
    return stand_in.run("@cf/openai/whisper-large-v3-turbo", {"audio": audio})


QUESTIONS = {"q": {"type": "score", "instructions": "TEXT"}}
PICTURE = {"width": 256, "height": 256}

SENDERS: dict[str, Send] = {
    "embeddings": as_json("@cf/baai/bge-small-en-v1.5", text=["x", "TEXT"]),
    "embeddings of contexts": as_json("@cf/baai/bge-m3", query="x", contexts=[{"text": "TEXT"}]),
    "rerank": as_json("@cf/baai/bge-reranker-base", query="TEXT", contexts=[{"text": "x"}]),
    "text-classification": as_json("@cf/huggingface/distilbert-sst-2-int8", text="TEXT"),
    "translation": as_json("@cf/meta/m2m100-1.2b", text="TEXT", target_lang="fr"),
    "decision": as_json("@cf/cloudflare/clef", state="x", questions=QUESTIONS),
    "text-to-image": as_json("@cf/leonardo/lucid-origin", prompt="TEXT", **PICTURE),
    "text-to-image by a form": as_form,
    "image-to-text": as_json("@cf/llava-hf/llava-1.5-7b-hf", prompt="TEXT", image=[1]),
    "asr by bytes": as_bytes,
    "asr": as_base64,
    "tts": as_json("@cf/myshell-ai/melotts", prompt="TEXT"),
}
BINARY: dict[str, Send] = {
    "tts": as_json("@cf/deepgram/aura-2-es", text="TEXT"),
    "text-to-image": as_json("@cf/leonardo/phoenix-1.0", prompt="TEXT", **PICTURE),
}

each_kind = pytest.mark.parametrize("send", SENDERS.values(), ids=SENDERS.keys())
each_kind_and_binary = pytest.mark.parametrize(
    "send", [*SENDERS.values(), *BINARY.values()], ids=[*SENDERS, *(f"{n} bytes" for n in BINARY)]
)


def test_every_live_kind_of_the_catalogue_is_served() -> None:
    kinds = {model.kind for model in Catalogue.load(DEFAULT_CATALOGUE).live()}

    assert kinds == {*HANDLERS, *CHAT_KINDS}


@each_kind_and_binary
def test_error(stand_in: Caller, send: Send) -> None:
    error = {"status": 429, "code": 3040, "message": "Capacity temporarily exceeded"}

    response = send(stand_in, script(error=error))

    assert stand_in.error(response)[:2] == (429, 3040)
    assert stand_in.calls()[-1]["ended"] == "fault"


@each_kind
def test_success_false_under_200(stand_in: Caller, send: Send) -> None:
    response = send(stand_in, script(success_false=True))

    assert stand_in.error(response)[:2] == (200, 3043)


@each_kind_and_binary
def test_page_of_the_edge(stand_in: Caller, send: Send) -> None:
    response = send(stand_in, script(html=502))

    assert response.status_code == 502
    assert response.text.startswith("<!DOCTYPE html>")


@each_kind
def test_truncated_json(stand_in: Caller, send: Send) -> None:
    response = send(stand_in, script(truncated_json=True))

    assert response.status_code == 200
    with pytest.raises(json.JSONDecodeError):
        json.loads(response.content)


@each_kind_and_binary
def test_cut_connection(stand_in: Caller, send: Send) -> None:
    with pytest.raises((requests.ConnectionError, requests.exceptions.ChunkedEncodingError)):
        send(stand_in, script(cut_after=1))

    assert stand_in.calls()[-1]["ended"] == "fault"


@each_kind_and_binary
def test_wrong_content_type(stand_in: Caller, send: Send) -> None:
    response = send(stand_in, script(content_type="text/plain"))

    assert response.headers["Content-Type"] == "text/plain"


@each_kind
def test_failure_that_goes_away(stand_in: Caller, send: Send) -> None:
    text = script(error=True, error_times=1, id=f"{time.time()}")

    assert [send(stand_in, text).status_code for _ in range(2)] == [500, 200]


@each_kind
def test_answer_given(stand_in: Caller, send: Send) -> None:
    assert send(stand_in, script(json={"any": 1})).json()["result"]["any"] == 1


@each_kind_and_binary
def test_neurons_given_or_left_away(stand_in: Caller, send: Send) -> None:
    given = send(stand_in, script(usage={"neurons": 1.25}))
    none = send(stand_in, script(usage={"neurons": None}))
    no_usage = send(stand_in, script(no_usage=True))

    assert given.headers["cf-ai-neurons"] == "1.25"
    assert "cf-ai-neurons" not in none.headers
    assert "cf-ai-neurons" not in no_usage.headers
    assert b'"usage"' not in no_usage.content


@each_kind
def test_delay(stand_in: Caller, send: Send) -> None:
    started = time.monotonic()

    assert send(stand_in, script(delay_ms=100)).status_code == 200
    assert time.monotonic() - started > 0.1


@each_kind
def test_key_of_chat_is_refused(stand_in: Caller, send: Send) -> None:
    status, code, text = stand_in.error(send(stand_in, script(reasoning="Hm.")))

    assert (status, code) == (400, 5006)
    assert "reasoning means nothing to this kind" in text


def test_known_code_of_the_gateway_brings_its_status_and_words(stand_in: Caller) -> None:
    send = SENDERS["rerank"]

    blocked = send(stand_in, script(gateway_error={"code": 2016}))
    spent = send(stand_in, script(gateway_error={"code": 2045, "message": "Spent"}))

    assert blocked.status_code == 424
    assert blocked.json()["error"][0]["code"] == 2016
    assert spent.status_code == 429
    assert spent.json()["error"] == [{"code": 2045, "message": "Spent"}]
