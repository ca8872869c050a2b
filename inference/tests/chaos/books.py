"""Waiting for the sums: after disasters some calls end only when the sweeper comes round."""

import time
from collections.abc import Sequence

import redis

from inference.tests.customers import Customer
from sandbox.testing import RunningSandbox


def wait_until_calm(
    sandbox: RunningSandbox, customers: Sequence[Customer], *, timeout_s: float = 120
) -> None:
    """Until nothing is held or unsettled and no rule is broken. Raises AssertionError."""
    deadline = time.monotonic() + timeout_s
    while True:
        for customer in customers:
            customer.wait_until_settled(timeout_s=deadline - time.monotonic())
        broken = "captured usage is not booked yet"
        if not unsettled(sandbox):
            try:
                sandbox.manage(["audit"])
                return
            except AssertionError as exc:
                broken = str(exc)
        assert time.monotonic() < deadline, broken
        time.sleep(1)


def unsettled(sandbox: RunningSandbox) -> int:
    """Events that wait in the outboxes."""
    client = redis.Redis.from_url(sandbox.env["REDIS_URL"], decode_responses=True)
    return sum(client.xlen(name) for name in client.scan_iter("*:outbox"))
