"""Many clients of a workspace with hardly any credit: would anybody lend it the same twice?"""

import json
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from decimal import Decimal
from typing import Any

import requests

from inference.tests.chaos.books import booked
from inference.tests.test_kill import NUSD, manage

CLIENTS = 40
# Of what a dozen calls of the crowd hold, and use up: whatever is lent twice is overdrawn.
CREDIT_NUSD = 4_000_000
TOKENS = 100


class Crowd:
    """`told`: request id → what its client was told that it cost."""

    def __init__(self, sandbox: Any) -> None:
        self._sandbox = sandbox
        owner = ("--owner-email", "owner@poor.example", "--owner-password=correct-horse-9")
        manage(sandbox, "create_tenant", "poor", "--name", "Poor", *owner)
        manage(sandbox, "grant_credit", "poor", str(CREDIT_NUSD / NUSD), "--reference", "crowd")
        made = json.loads(manage(sandbox, "create_api_key", "poor", "--name", "k", "--json"))
        self._headers = {"Authorization": f"Bearer {made['key']}"}
        self.told: dict[str, int] = {}
        self.wrong: list[str] = []

    @contextmanager
    def calling(self) -> Iterator[None]:
        """They hold all the credit, from half a second after it begins."""
        stop = threading.Event()
        with ThreadPoolExecutor(CLIENTS) as pool:
            for _ in range(CLIENTS):
                pool.submit(self._client, stop)
            try:
                time.sleep(0.6)
                yield
            finally:
                stop.set()

    def _client(self, stop: threading.Event) -> None:
        session = requests.Session()
        text = f"[[sandbox {json.dumps({'tokens': TOKENS, 'chunk_ms': 50})}]]"
        body = {
            "model": "llama-3.3-70b-fast",
            "max_tokens": TOKENS,
            "messages": [{"role": "user", "content": text}],
        }
        while not stop.is_set():
            reply = session.post(
                f"{self._sandbox.url}/v1/chat/completions",
                json=body,
                headers=self._headers,
                timeout=40,
            )
            if reply.status_code not in {200, 429, 503}:
                self.wrong.append(f"{reply.status_code} {reply.text}")
            if reply.status_code == 200:
                cost = Decimal(reply.json()["usage"]["request_cost"])
                self.told[reply.headers["x-request-id"]] = int(cost * NUSD)
            else:
                stop.wait(float(reply.headers.get("retry-after", 1)))

    def assert_no_overdraft(self) -> None:
        """With nothing running any more, and all settled."""
        balance = json.loads(manage(self._sandbox, "balance", "poor", "--json"))
        costs = {rid: cost for rid, (cost, _) in booked(self._sandbox, "poor").items()}
        assert costs == self.told, (costs, self.told)
        assert Decimal(balance["posted"]) * NUSD == CREDIT_NUSD - sum(costs.values())
        assert sum(costs.values()) <= CREDIT_NUSD
        assert self.told
        assert not self.wrong, self.wrong
