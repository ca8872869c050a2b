"""Many clients of a workspace with hardly any credit: would anybody lend it the same twice?"""

import json
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from decimal import Decimal

import requests

from inference.tests.customers import NUSD, Customer

CLIENTS = 40
# Of what a dozen calls of the crowd hold, and use up: whatever is lent twice is overdrawn.
CREDIT_NUSD = 4_000_000
TOKENS = 100


class Crowd:
    """`told`: request id → what its client was told that it cost."""

    def __init__(self, customer: Customer) -> None:
        """customer: with CREDIT_NUSD."""
        self._customer = customer
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
                self._customer.url("chat/completions"),
                json=body,
                headers=self._customer.headers,
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
        """With nothing running any more."""
        self._customer.wait_until_settled()
        books = self._customer.books()
        costs = {rid: cost for rid, (cost, _) in books.calls.items()}
        assert costs == self.told, (costs, self.told)
        assert books.ledger["credit"] == CREDIT_NUSD - books.spent_nusd
        assert books.spent_nusd <= CREDIT_NUSD
        assert self.told
        assert not self.wrong, self.wrong
