"""A stand-in running in this process, and somebody who takes its webhooks."""

import asyncio
import contextlib
import http.server
import json
import socket
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from typing import Any

import requests
import stripe
from aiohttp import web

from sandbox.stripe.server import make_app
from sandbox.stripe.settings import Settings

SECRET_KEY = "sk_test_of_the_tests"
WEBHOOK_SECRET = "whsec_of_the_tests"

SETTINGS = Settings(
    secret_key=SECRET_KEY,
    webhook_secret=WEBHOOK_SECRET,
    retry_first_s=0.02,
    dispute_delay_s=0.0,
)

CARD = {
    "cardNumber": "4242 4242 4242 4242",
    "cardExpiry": "12/40",
    "cardCvc": "123",
    "billingName": "Ada Buyer",
    "email": "ada@example.com",
}


@dataclass
class StandIn:
    """client: the real package's, without retries of its own."""

    url: str
    settings: Settings

    @property
    def client(self) -> stripe.StripeClient:
        return client_of(self.url)

    def control(self, method: str, path: str, /, **order: Any) -> Any:
        answer = requests.request(
            method, f"{self.url}/__sandbox/{path}", json=order or None, timeout=5
        )
        answer.raise_for_status()
        return answer.json()

    def pay(self, session: Any, **entered: str) -> requests.Response:
        """Fill in the page's form and press Pay; where it leads is not followed."""
        return requests.post(
            session.url, data={**CARD, **entered}, allow_redirects=False, timeout=5
        )


def client_of(url: str, key: str = SECRET_KEY, **options: Any) -> stripe.StripeClient:
    return stripe.StripeClient(
        key, base_addresses={"api": url}, **{"max_network_retries": 0, **options}
    )


@contextlib.contextmanager
def running(settings: Settings = SETTINGS, **changes: Any) -> Iterator[StandIn]:
    settings = replace(settings, **changes)
    server = socket.create_server((settings.host, settings.port))
    url = "http://{}:{}".format(*server.getsockname()[:2])
    loop = asyncio.new_event_loop()

    async def start() -> web.AppRunner:
        runner = web.AppRunner(
            make_app(settings, url), handler_cancellation=True, shutdown_timeout=0.05
        )
        await runner.setup()
        await web.SockSite(runner, server).start()
        return runner

    thread = threading.Thread(target=loop.run_forever, daemon=True)
    thread.start()
    runner = asyncio.run_coroutine_threadsafe(start(), loop).result(10)
    try:
        yield StandIn(url, settings)
    finally:
        asyncio.run_coroutine_threadsafe(runner.cleanup(), loop).result(10)
        loop.call_soon_threadsafe(loop.stop)
        thread.join(10)
        loop.close()


@dataclass
class Receiver:
    """Takes webhooks. statuses: answered one after the other, then 200."""

    url: str = ""
    received: list[tuple[str, bytes]] = field(default_factory=list)
    statuses: list[int] = field(default_factory=list)

    def events(self, secret: str = WEBHOOK_SECRET) -> list[Any]:
        """All that came, each with its signature checked by the real package."""
        return [
            stripe.Webhook.construct_event(payload, header, secret)
            for header, payload in list(self.received)
        ]

    def types(self) -> list[str]:
        return [json.loads(payload)["type"] for _, payload in list(self.received)]


@contextlib.contextmanager
def receiving() -> Iterator[Receiver]:
    receiver = Receiver()

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            payload = self.rfile.read(int(self.headers["Content-Length"]))
            receiver.received.append((self.headers["Stripe-Signature"], payload))
            self.send_response(receiver.statuses.pop(0) if receiver.statuses else 200)
            self.end_headers()

        def log_message(self, *_: object) -> None:
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    receiver.url = f"http://127.0.0.1:{server.server_port}/webhooks/stripe"
    thread = threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True)
    thread.start()
    yield receiver
    server.shutdown()
    server.server_close()
    thread.join(5)


def wait_until(condition: Callable[[], Any], timeout_s: float = 10.0) -> None:
    deadline = time.monotonic() + timeout_s
    while not condition():
        assert time.monotonic() < deadline, "did not happen in time"
        time.sleep(0.01)
