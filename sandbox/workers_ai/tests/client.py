"""How tests speak to a stand-in: over HTTP, with bodies written out."""

import json
import re
import socket
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from decimal import Decimal
from typing import Any
from urllib.parse import urlsplit

import requests

ACCOUNT = "acme"
NATIVE = "@cf/meta/llama-3.3-70b-instruct-fp8-fast"
OPENAI = "@cf/zai-org/glm-4.7-flash"
VISION = "@cf/google/gemma-4-26b-a4b-it"

UUID_AT_END = re.compile(r" \(([0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12})\)$")

Json = dict[str, Any]


def script(rest: str = "Hello", /, **keys: Any) -> str:
    """A user message with a directive in it."""
    return f"[[sandbox {json.dumps(keys)}]] {rest}"


def ask(text: str, **fields: Any) -> Json:
    """A body with one user message."""
    return {"messages": [{"role": "user", "content": text}], **fields}


@dataclass
class Caller:
    """A client of one stand-in."""

    url: str
    token: str = "token-1"
    account: str = ACCOUNT

    @property
    def base(self) -> str:
        return f"{self.url}/client/v4/accounts/{self.account}/ai"

    def headers(self, extra: dict[str, str] | None = None) -> dict[str, str]:
        return {"Authorization": f"Bearer {self.token}", **(extra or {})}

    def post(
        self, path: str, body: Json, headers: dict[str, str] | None = None, **options: Any
    ) -> requests.Response:
        return requests.post(
            f"{self.base}/{path}", json=body, headers=self.headers(headers), timeout=30, **options
        )

    def run(self, model: str, body: Json, **options: Any) -> requests.Response:
        return self.post(f"run/{model}", body, **options)

    def chat(self, model: str, body: Json, **options: Any) -> requests.Response:
        return self.post("v1/chat/completions", {"model": model, **body}, **options)

    def result(self, model: str, body: Json) -> Any:
        """`result` of a call that succeeds."""
        answer = exact(self.run(model, body))
        assert answer["success"] is True, answer
        return answer["result"]

    def error(self, response: requests.Response) -> tuple[int, Any, str]:
        """Status, code and message of a refusal; the message without its request id."""
        body = response.json()
        assert body["success"] is False
        (error,) = body["errors"]
        found = UUID_AT_END.search(error["message"])
        if found:
            assert response.headers["cf-ai-req-id"] == found[1]
        return response.status_code, error["code"], UUID_AT_END.sub("", error["message"])

    def calls(self, **query: Any) -> list[Json]:
        response = requests.get(f"{self.url}/__sandbox/calls", params=query, timeout=10)
        calls: list[Json] = response.json()["calls"]
        return calls

    def last_seq(self) -> int:
        calls = self.calls()
        return calls[-1]["seq"] if calls else 0

    def raw_post(self, path: str, body: Json) -> socket.socket:
        """A call on a bare socket, for looking at how the connection ends."""
        parts = urlsplit(self.url)
        connection = socket.create_connection((parts.hostname or "", parts.port or 0), timeout=10)
        payload = json.dumps(body).encode()
        head = (
            f"POST {urlsplit(self.base).path}/{path} HTTP/1.1\r\nHost: x\r\n"
            f"Authorization: Bearer {self.token}\r\nContent-Length: {len(payload)}\r\n\r\n"
        )
        connection.sendall(head.encode() + payload)
        return connection


def exact(response: requests.Response) -> Any:
    """The JSON, numbers with a point as Decimal."""
    return json.loads(response.content, parse_float=Decimal)


def frames(response: requests.Response) -> list[Any]:
    """The events of a stream: objects, and "[DONE]"."""
    assert response.status_code == 200, response.text
    assert response.headers["Content-Type"] == "text/event-stream"
    return list(events(response.content.decode()))


def events(text: str) -> Iterator[Any]:
    assert text.endswith("\n\n")
    for event in text.removesuffix("\n\n").split("\n\n"):
        data = event.removeprefix("data: ")
        assert data != event
        yield data if data == "[DONE]" else json.loads(data, parse_float=Decimal)


def without_padding(frame: Json) -> Json:
    """The frame without `p`, which has to be there."""
    frame = dict(frame)
    assert isinstance(frame.pop("p"), str)
    return frame


def wait_until(condition: Callable[[], bool], timeout_s: float = 2) -> None:
    deadline = time.monotonic() + timeout_s
    while not condition():
        assert time.monotonic() < deadline, "it did not happen in time"
        time.sleep(0.01)
