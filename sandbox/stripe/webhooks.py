"""Webhooks: signed, each on its way by itself and so in any order, tried until taken."""

import asyncio
import hashlib
import hmac
import json
import logging
import random
import time
from typing import Any

import aiohttp

from sandbox.stripe.settings import Settings
from sandbox.stripe.store import Object, Store, Unit, new_id, public
from sandbox.stripe.webhook_endpoints import KIND as ENDPOINT_KIND
from sandbox.stripe.webhook_endpoints import wants

logger = logging.getLogger(__name__)

KIND = "sandbox.delivery"
ORDERS_KIND = "sandbox.webhook_orders"

TIMEOUT_S = 10.0
MAX_ATTEMPTS = 12
LONGEST_WAIT_S = 60.0

# So that events of one call arrive in another order than they happened, as the real ones do.
JITTER_S = 0.03

# copies: how often each event is delivered. hold: collected until they are released.
# drop: never sent, as if the endpoint was down for all tries; events stay listed.
NO_ORDERS: Object = {"id": "now", "object": ORDERS_KIND, "copies": 1, "hold": [], "drop": []}


def signature(secret: str, payload: bytes, at_s: int) -> str:
    """The value of `Stripe-Signature`."""
    signed = hmac.new(secret.encode(), f"{at_s}.".encode() + payload, hashlib.sha256)
    return f"t={at_s},v1={signed.hexdigest()}"


class Webhooks:
    def __init__(self, store: Store, settings: Settings) -> None:
        self.store = store
        self.settings = settings
        self.tasks: set[asyncio.Task[None]] = set()
        self.session: aiohttp.ClientSession | None = None

    async def start(self) -> None:
        """Also goes on with what an earlier process had not delivered."""
        timeout = aiohttp.ClientTimeout(total=TIMEOUT_S)
        self.session = aiohttp.ClientSession(timeout=timeout)
        for one in list(self.store.all(KIND).values()):
            if one["state"] == "pending":
                self.send(one["id"])

    async def stop(self) -> None:
        for task in list(self.tasks):
            task.cancel()
        await asyncio.gather(*self.tasks, return_exceptions=True)
        if self.session is not None:
            await self.session.close()

    # --- Orders -----------------------------------------------------------------

    @property
    def orders(self) -> Object:
        return self.store.find(ORDERS_KIND, "now") or NO_ORDERS

    def set_orders(self, **orders: Any) -> None:
        self.store.write([{**self.orders, **orders}])

    def release(self, order: str) -> list[Object]:
        """Send what was held, one after the other: created, reversed or shuffled."""
        held = [one for one in self.store.all(KIND).values() if one["state"] == "held"]
        if order == "reversed":
            held.reverse()
        elif order == "shuffled":
            random.shuffle(held)
        for one in held:
            self.change(one["id"], state="pending")
        self.start_task(self.deliver_in_turn([one["id"] for one in held]))
        return held

    # --- Deliveries -------------------------------------------------------------

    def plan(self, unit: Unit) -> list[str]:
        """Add to the unit a delivery for each of its events and who wants it.

        Returns those to be sent once it is committed: what is held waits for its release.
        """
        planned = []
        for event in unit.events:
            for endpoint in list(unit.all(ENDPOINT_KIND)):
                if wants(endpoint, event["type"]):
                    for _ in range(self.orders["copies"]):
                        delivery = self.add(unit, event, endpoint)
                        if delivery["state"] == "pending":
                            planned.append(delivery["id"])
                    event["pending_webhooks"] += 1
        return planned

    def add(self, unit: Unit, event: Object, endpoint: Object, *, forced: bool = False) -> Object:
        state = "pending" if forced else self.state_of(event["type"])
        return unit.keep(
            {
                "id": new_id("whd"),
                "object": KIND,
                "event": event["id"],
                "type": event["type"],
                "endpoint": endpoint["id"],
                "state": state,
                "attempts": [],
            }
        )

    def state_of(self, type_: str) -> str:
        for state, patterns in (("dropped", self.orders["drop"]), ("held", self.orders["hold"])):
            if "*" in patterns or type_ in patterns:
                return state
        return "pending"

    def resend(self, event: Object) -> list[Object]:
        """To every enabled endpoint, whatever became of it before."""
        unit = Unit(self.store)
        endpoints = [one for one in unit.all(ENDPOINT_KIND) if not one.get("deleted")]
        added = [self.add(unit, event, endpoint, forced=True) for endpoint in endpoints]
        unit.commit()
        for one in added:
            self.send(one["id"])
        return added

    def send(self, delivery_id: str) -> None:
        self.start_task(self.deliver(delivery_id, random.uniform(0, JITTER_S)))

    def start_task(self, coroutine: Any) -> None:
        task = asyncio.get_running_loop().create_task(coroutine)
        self.tasks.add(task)
        task.add_done_callback(self.tasks.discard)

    async def deliver_in_turn(self, delivery_ids: list[str]) -> None:
        for delivery_id in delivery_ids:
            # The first try of each in this order; what fails is repeated by itself.
            if not await self.attempt(delivery_id):
                self.start_task(self.deliver(delivery_id, self.wait_s(1), tried=1))

    async def deliver(self, delivery_id: str, wait_s: float, tried: int = 0) -> None:
        for number in range(tried + 1, MAX_ATTEMPTS + 1):
            await asyncio.sleep(wait_s)
            if await self.attempt(delivery_id):
                return
            wait_s = self.wait_s(number)
        self.change(delivery_id, state="failed")

    def wait_s(self, number: int) -> float:
        """After the attempt of this number."""
        return min(self.settings.retry_first_s * 2.0 ** (number - 1), LONGEST_WAIT_S)

    async def attempt(self, delivery_id: str) -> bool:
        """Whether it needs no more tries."""
        delivery = self.store.find(KIND, delivery_id)
        assert delivery is not None
        if delivery["state"] != "pending":
            return True
        endpoint = self.store.find(ENDPOINT_KIND, delivery["endpoint"])
        event = self.store.find("event", delivery["event"])
        assert event is not None
        if endpoint is None or endpoint.get("status") != "enabled":
            self.change(delivery_id, state="failed")
            return True
        if self.state_of(event["type"]) == "dropped":
            self.change(delivery_id, state="dropped")
            return True
        at_s = int(time.time())
        status, error = await self.post(endpoint, json.dumps(public(event)).encode(), at_s)
        tried = [*delivery["attempts"], {"at": at_s, "status": status, "error": error}]
        is_taken = 200 <= status < 300
        self.change(
            delivery_id, attempts=tried, state="succeeded" if is_taken else delivery["state"]
        )
        return is_taken

    async def post(self, endpoint: Object, payload: bytes, at_s: int) -> tuple[int, str | None]:
        assert self.session is not None
        headers = {
            "Content-Type": "application/json; charset=utf-8",
            "Stripe-Signature": signature(endpoint["_secret"], payload, at_s),
            "User-Agent": "Stripe/1.0 (+https://stripe.com/docs/webhooks)",
        }
        try:
            async with self.session.post(
                endpoint["url"], data=payload, headers=headers, allow_redirects=False
            ) as response:
                return response.status, None
        except (aiohttp.ClientError, TimeoutError, ValueError) as error:
            return 0, f"{type(error).__name__}: {error}"

    def change(self, delivery_id: str, **fields: Any) -> None:
        delivery = {**(self.store.find(KIND, delivery_id) or {}), **fields}
        written = [delivery]
        event = self.store.find("event", delivery["event"])
        if event is not None and fields.get("state") == "succeeded" and event["pending_webhooks"]:
            written.append({**event, "pending_webhooks": event["pending_webhooks"] - 1})
        self.store.write(written)
