"""Who talks to agents over HTTP, and what the stand-in is told to answer."""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import requests


@dataclass
class Talker:
    """Who talks to an agent over HTTP."""

    base_url: str
    token: str

    def ask(self, method: str, path: str, body: Any = None, **options: Any) -> requests.Response:
        headers = {"Authorization": f"Bearer {self.token}", **options.pop("headers", {})}
        return requests.request(
            method, f"{self.base_url}/{path}", json=body, headers=headers, timeout=60, **options
        )

    def post(self, path: str, body: Any = None, **options: Any) -> Any:
        answer = self.ask("POST", path, {} if body is None else body, **options)
        assert answer.status_code == 200, answer.text
        return answer.json()

    def get(self, path: str) -> Any:
        answer = self.ask("GET", path)
        assert answer.status_code == 200, answer.text
        return answer.json()

    def refusal(self, method: str, path: str, body: Any = None) -> tuple[int, Any, Any]:
        answer = self.ask(method, path, body)
        error = answer.json()["error"]
        return answer.status_code, error["code"], error["param"]

    def agent(self, **params: Any) -> Any:
        return self.post("agents", {"name": "Ana", "model": "qwen-3-30b", **params})

    def conversation(self, agent: Any, **params: Any) -> str:
        """Its path."""
        made = self.post(f"agents/{agent['id']}/conversations", params)
        return f"agents/{agent['id']}/conversations/{made['id']}"

    def events(self, method: str, path: str, body: Any = None, **options: Any) -> Iterator[Any]:
        with self.ask(method, path, body, stream=True, **options) as answer:
            assert answer.status_code == 200, answer.text
            for line in answer.iter_lines():
                if line.startswith(b"data: "):
                    yield json.loads(line[6:])


def script(**directive: Any) -> str:
    """A text that tells the stand-in what to answer."""
    return f"[[sandbox {json.dumps(directive)}]]"


def text_of(events: list[Any]) -> str:
    return "".join(e["delta"] for e in events if e["type"] == "response.output_text.delta")
