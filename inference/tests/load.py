"""Calls without pause while something goes wrong."""

import json
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from decimal import Decimal
from typing import Any

import requests

from inference.tests.customers import NUSD, Customer


class Load:
    """Clients that call without pause, and remember what each answer told."""

    def __init__(self, customer: Customer) -> None:
        self.customer = customer
        self.url = customer.url("chat/completions")
        self.headers = customer.headers
        self.told: dict[str, int] = {}
        self.failed = 0
        self._stop = threading.Event()

    def run_while(self, work: Any, *, clients: int = 6) -> None:
        with ThreadPoolExecutor(clients) as pool:
            for number in range(clients):
                pool.submit(self.client, number)
            try:
                work()
            finally:
                self._stop.set()

    def client(self, number: int) -> None:
        while not self._stop.is_set():
            try:
                self.call(stream=number % 2 == 0)
            except (requests.RequestException, ValueError, KeyError, IndexError):
                self.failed += 1
                time.sleep(0.05)

    def call(self, *, stream: bool) -> None:
        body: dict[str, Any] = {
            "model": "llama-3.3-70b-fast",
            "messages": [{"role": "user", "content": '[[sandbox {"tokens": 10, "chunk_ms": 20}]]'}],
        }
        if stream:
            body |= {"stream": True, "stream_options": {"include_usage": True}}
        reply = self.post(body)
        if reply.status_code != 200:
            raise ValueError(reply.text)
        if stream:
            *_, last, done, _ = reply.text.split("\n\n")
            assert done == "data: [DONE]"
            usage = json.loads(last[6:])["usage"]
        else:
            usage = reply.json()["usage"]
        self.told[reply.headers["x-request-id"]] = int(Decimal(usage["request_cost"]) * NUSD)

    def post(self, body: dict[str, Any]) -> requests.Response:
        return requests.post(self.url, json=body, headers=self.headers, timeout=20)
