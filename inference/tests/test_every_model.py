"""The contract with upstream, model by model: the form of the request, the answer, the price."""

import base64
import io
import json
import math
import wave
from collections.abc import Callable
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
import requests
from PIL import Image

from inference.catalog.services import DATA_FILE, LIVE
from inference.tests.settled import nusd, settled_record

ROWS = {row["friendly_id"]: row for row in json.loads(Path(DATA_FILE).read_text())}
LIVE_MODELS = sorted(name for name, row in ROWS.items() if row["status"] in LIVE)
MARKUP = Decimal("1.2")


def is_served(name: str) -> bool:
    row = ROWS[name]
    return bool(row["pricing"]) and row["request_form"] != "websocket_only"


SERVED = [name for name in LIVE_MODELS if is_served(name)]


def picture(size: tuple[int, int] = (64, 64), mode: str = "RGB") -> bytes:
    out = io.BytesIO()
    Image.new(mode, size).save(out, "PNG")
    return out.getvalue()


def data_url() -> str:
    return "data:image/png;base64," + base64.b64encode(picture()).decode()


def sound(seconds: float = 3.0) -> bytes:
    out = io.BytesIO()
    with wave.open(out, "wb") as writer:
        writer.setnchannels(1)
        writer.setsampwidth(2)
        writer.setframerate(8_000)
        writer.writeframes(b"\0\0" * int(8_000 * seconds))
    return out.getvalue()


def chat(name: str) -> dict[str, Any]:
    return {"path": "chat/completions", "json": {"messages": [_user("hello")], "max_tokens": 20}}


def _user(content: Any) -> dict[str, Any]:
    return {"role": "user", "content": content}


def see(name: str) -> dict[str, Any]:
    parts = [
        {"type": "text", "text": "What is this?"},
        {"type": "image_url", "image_url": {"url": data_url()}},
    ]
    return {"path": "chat/completions", "json": {"messages": [_user(parts)]}}


def run_clef(name: str) -> dict[str, Any]:
    question = {"type": "choice", "instructions": "Pick", "criteria": ["yes", "no"]}
    return {"path": f"run/{name}", "json": {"state": "It rains.", "questions": {"q": question}}}


# What a client sends for each kind of work.
CALLS: dict[str, Callable[[str], dict[str, Any]]] = {
    "chat": chat,
    "moderation": lambda name: {"path": "moderations", "json": {"input": "hello"}},
    "image-to-text": see,
    "embeddings": lambda name: {"path": "embeddings", "json": {"input": ["a", "b"]}},
    "rerank": lambda name: {"path": "rerank", "json": {"query": "a", "documents": ["a", "b"]}},
    "text-classification": lambda name: {"path": "classifications", "json": {"input": "fine"}},
    "translation": lambda name: {
        "path": "translations",
        "json": {"input": "hello", "target_language": "hi"},
    },
    "text-to-image": lambda name: {"path": "images/generations", "json": {"prompt": "a bicycle"}},
    "inpainting": lambda name: {
        "path": "images/edits",
        "data": {"prompt": "a bicycle"},
        "files": {
            "image": ("a.png", picture((256, 256))),
            "mask": ("m.png", picture((256, 256), "RGBA")),
        },
    },
    "image-classification": lambda name: {
        "path": "images/classifications",
        "json": {"image": data_url()},
    },
    "asr": lambda name: {
        "path": "audio/transcriptions",
        "data": {},
        "files": {"file": ("a.wav", sound())},
    },
    "tts": lambda name: {
        "path": "audio/speech",
        "json": {"input": "Hello there, how are you?", "voice": "alloy"},
    },
    "decision": run_clef,
    "turn-detection": lambda name: {
        "path": f"run/{name}",
        "json": {"audio": base64.b64encode(sound()).decode(), "dtype": "uint8"},
    },
}

# Neurons of the call here, by the published formula, where upstream does not tell them.
UNTOLD = {"phoenix-1": 3_120}
# How upstream wants it, by content type.
FORMS = {
    "json": ("application/json",),
    "multipart": ("multipart/form-data",),
    "binary_or_json": ("audio/", "image/", "application/octet-stream"),
    "binary_body_with_content_type": ("audio/",),
}


def send(gateway: Any, cast: Any, name: str) -> requests.Response:
    call = CALLS[ROWS[name]["kind"]](name)
    path = call.pop("path")
    if not path.startswith("run/"):
        call["json" if "json" in call else "data"]["model"] = name
    return requests.post(f"{gateway.base_url}/{path}", headers=cast.auth, timeout=60, **call)


def upstream_calls(gateway: Any, name: str) -> list[dict[str, Any]]:
    standin = gateway.sandbox.env["CLOUDFLARE_BASE_URL"].removesuffix("/client/v4")
    calls = requests.get(f"{standin}/__sandbox/calls", timeout=5).json()["calls"]
    return [call for call in calls if call["model"] == ROWS[name]["id"]]


def test_every_kind_of_work_has_a_call_here() -> None:
    assert {ROWS[name]["kind"] for name in SERVED} == set(CALLS)


@pytest.mark.parametrize("name", SERVED)
def test_a_model_is_called_in_its_own_form_and_charged_exactly(gateway: Any, name: str) -> None:
    cast = gateway.cast()
    response = send(gateway, cast, name)

    assert response.status_code == 200, response.text
    body = response.content  # read to its end
    assert body
    record = settled_record(cast)
    call = upstream_calls(gateway, name)[-1]
    assert call["headers"]["Content-Type"].startswith(FORMS[ROWS[name]["request_form"]])
    assert (record.ai_model, record.upstream_model) == (name, ROWS[name]["id"])
    assert (record.status, record.attempts) == ("completed", 1)
    assert record.cost_nusd <= record.estimated_nusd
    if "X-Request-Cost" in response.headers:
        assert record.cost_nusd == nusd(response.headers["X-Request-Cost"])
    neurons = Decimal(str(call["neurons"] or UNTOLD.get(name, 0)))
    assert record.provider_cost_nusd == math.ceil(neurons * 11_000)
    assert record.cost_nusd == math.ceil(neurons * 11_000 * MARKUP)


@pytest.mark.parametrize("name", [name for name in LIVE_MODELS if not is_served(name)])
def test_a_model_that_is_not_served_says_why(gateway: Any, name: str) -> None:
    cast = gateway.cast()
    if ROWS[name]["request_form"] == "websocket_only":
        why = "WebSocket only"
        response = gateway.post(cast, f"run/{name}", {"x": 1})
    else:
        why = "has no price"
        response = send(gateway, cast, name)

    assert response.status_code == 404
    error = response.json()["error"]
    assert error["code"] == "model_not_found"
    assert why in error["message"]
