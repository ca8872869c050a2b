"""Clients of several tenants that call without pause, and remember what each answer told."""

import json
import random
import threading
import time
from collections import Counter
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any

import requests

from inference.tests.customers import Customer

NUSD = 10**9
TIMEOUT_S = 25
MODELS = ("llama-3.3-70b-fast", "gpt-oss-20b", "qwen-3-30b")
# What upstream does, as the stand-in is told inside the prompt, and how often.
ANYWHERE: list[tuple[int, dict[str, Any]]] = [
    (12, {"tokens": 8, "chunk_ms": 10}),
    (3, {"tokens": 30, "chunk_ms": 60}),
    (1, {"tokens": 60, "chunk_ms": 100}),
    (2, {"tokens": 5, "error": 3040, "error_times": 1}),
    (1, {"error": 3043}),
    (1, {"success_false": 3043}),
    (1, {"html": 524}),
    (1, {"reset": True}),
    (1, {"text": ""}),
    (1, {"delay_ms": 1500, "tokens": 5}),
]
IN_STREAMS: list[tuple[int, dict[str, Any]]] = [
    (1, {"tokens": 20, "chunk_ms": 20, "cut_after": 8}),
    (1, {"tokens": 20, "chunk_ms": 20, "end_after": 6}),
    (1, {"tokens": 20, "chunk_ms": 20, "error_frame_after": 5}),
]


@dataclass
class Client:
    """One tenant's program. told: request id → what its answer said that it cost, in nUSD."""

    customer: Customer
    chance: random.Random
    told: dict[str, int] = field(default_factory=dict)
    # Ids of calls whose cost the client was not told: it left, or the answer broke off.
    untold: set[str] = field(default_factory=set)
    # Calls that ended without so much as an id.
    without_id: int = 0
    outcomes: Counter[str] = field(default_factory=Counter)
    repeats: list[tuple[str, dict[str, Any]]] = field(default_factory=list)

    def run(self, stop: threading.Event) -> None:
        while not stop.is_set():
            try:
                self._call()
            except requests.RequestException as exc:
                self.without_id += 1
                self.outcomes[type(exc).__name__] += 1
                time.sleep(self.chance.uniform(0.02, 0.2))

    def _call(self) -> None:
        work = self.chance.choices(
            [self._whole, self._stream, self._leave, self._once, self._embed], [5, 5, 2, 2, 2]
        )[0]
        work()

    # --- Kinds of call ----------------------------------------------------------

    def _whole(self) -> None:
        self._take(self._post("chat/completions", self._chat()))

    def _stream(self) -> None:
        self._read_stream(self._post("chat/completions", self._chat(stream=True), stream=True))

    def _leave(self) -> None:
        """The client goes in the middle."""
        reply = self._post("chat/completions", self._chat(stream=True), stream=True)
        if self._is_refused(reply):
            return
        self.untold.add(reply.headers["x-request-id"])
        for count, _ in enumerate(reply.iter_lines()):
            if count >= self.chance.randint(1, 12):
                break
        reply.close()
        self.outcomes["left"] += 1

    def _once(self) -> None:
        """With an Idempotency-Key: now and then a call of before, once more."""
        if self.repeats and self.chance.random() < 0.5:
            key, body = self.chance.choice(self.repeats)
        else:
            key, body = f"{self.customer.slug}-{self.chance.random()}", self._chat()
            self.repeats.append((key, body))
        reply = self._post("chat/completions", body, headers={"Idempotency-Key": key})
        if reply.headers.get("Idempotent-Replayed") == "true":
            first = reply.headers["x-agentflare-original-request-id"]
            cost = cost_of(reply.json()["usage"])
            # Told again, or told at last; never another price.
            assert self.told.setdefault(first, cost) == cost
            self.untold.discard(first)
            self.outcomes["replayed"] += 1
        else:
            self._take(reply)

    def _embed(self) -> None:
        text = self._directive({}, {"error": 3040})
        self._take(self._post("embeddings", {"model": "bge-m3", "input": [text, "b"]}))

    # --- Answers ----------------------------------------------------------------

    def _post(self, path: str, body: dict[str, Any], **options: Any) -> requests.Response:
        headers = {**self.customer.headers, **options.pop("headers", {})}
        url = self.customer.url(path)
        return requests.post(url, json=body, headers=headers, timeout=TIMEOUT_S, **options)

    def _is_refused(self, reply: requests.Response) -> bool:
        if reply.status_code == 200:
            return False
        self.outcomes[f"{reply.status_code} {code_of(reply)}"] += 1
        if request_id := reply.headers.get("x-request-id"):
            self.untold.add(request_id)
        else:
            self.without_id += 1
        time.sleep(self.chance.uniform(0, 0.05))
        return True

    def _take(self, reply: requests.Response) -> None:
        if not self._is_refused(reply):
            self.told[reply.headers["x-request-id"]] = cost_of(reply.json()["usage"])
            self.outcomes["whole"] += 1

    def _read_stream(self, reply: requests.Response) -> None:
        if self._is_refused(reply):
            return
        request_id = reply.headers["x-request-id"]
        # Until its end tells otherwise.
        self.untold.add(request_id)
        usage, is_done = None, False
        try:
            for line in reply.iter_lines():
                if line == b"data: [DONE]":
                    is_done = True
                elif line.startswith(b"data: ") and b'"usage":{' in line:
                    usage = json.loads(line[6:])["usage"]
        except requests.RequestException:
            self.outcomes["stream broken"] += 1
            return
        if not is_done:
            self.outcomes["stream ended in an error"] += 1
            return
        assert usage is not None, "a stream that ends well tells what it cost"
        self.untold.discard(request_id)
        self.told[request_id] = cost_of(usage)
        self.outcomes["streamed"] += 1

    # --- Requests ---------------------------------------------------------------

    def _chat(self, *, stream: bool = False) -> dict[str, Any]:
        weights, behaviours = zip(*ANYWHERE, *(IN_STREAMS if stream else []), strict=True)
        text = self._directive(*behaviours, weights=weights)
        body: dict[str, Any] = {
            "model": self.chance.choice(MODELS),
            "max_tokens": 200,
            "messages": [{"role": "user", "content": text}],
        }
        if stream:
            body |= {"stream": True, "stream_options": {"include_usage": True}}
        return body

    def _directive(self, *choices: dict[str, Any], weights: Any = None) -> str:
        chosen = dict(self.chance.choices(choices, weights)[0])
        if "error_times" in chosen:
            chosen["id"] = f"{self.customer.slug}-{self.chance.random()}"
        return f"{self.chance.random()} [[sandbox {json.dumps(chosen)}]]"


def cost_of(usage: dict[str, Any]) -> int:
    return int(Decimal(usage["request_cost"]) * NUSD)


def code_of(reply: requests.Response) -> str:
    try:
        return str(reply.json()["error"]["code"])
    except (ValueError, KeyError, TypeError):
        return "?"
