"""Customers of a whole sandbox, as they see themselves: from outside, with a key."""

import json
import secrets
import time
from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

import psycopg
import requests
from psycopg import IsolationLevel

from sandbox.testing import RunningSandbox

NUSD = 10**9


@dataclass(frozen=True)
class Books:
    """What PostgreSQL has. calls: request id → cost in nUSD, and status. ledger: account → nUSD."""

    calls: dict[str, tuple[int, str]]
    ledger: dict[str, int]

    @property
    def spent_nusd(self) -> int:
        return sum(cost for cost, _ in self.calls.values())


@dataclass(frozen=True)
class Customer:
    sandbox: RunningSandbox
    slug: str
    key: str

    @property
    def headers(self) -> dict[str, str]:
        return {"Authorization": f"Bearer {self.key}"}

    def url(self, path: str) -> str:
        return f"{self.sandbox.url}/v1/{path}"

    def balance(self) -> dict[str, int]:
        """posted, held, unsettled and available, in nUSD. Raises RequestException."""
        answer = requests.get(self.url("balance"), headers=self.headers, timeout=20)
        answer.raise_for_status()
        names = ("posted", "held", "unsettled", "available")
        return {name: int(Decimal(answer.json()[name]) * NUSD) for name in names}

    def wait_until_settled(self, *, timeout_s: float = 60) -> dict[str, int]:
        """The balance once nothing is held or unsettled: after the sweeper has been round."""
        deadline = time.monotonic() + timeout_s
        while True:
            try:
                found: Any = self.balance()
            except requests.RequestException as exc:
                found = exc
            else:
                if not found["held"] and not found["unsettled"]:
                    return found
            assert time.monotonic() < deadline, found
            time.sleep(0.2)

    def books(self) -> Books:
        with psycopg.connect(self.sandbox.env["DATABASE_URL"]) as connection:
            # Of one moment: a correction changes both.
            connection.isolation_level = IsolationLevel.REPEATABLE_READ
            (schema,) = connection.execute(
                "SELECT schema_name FROM registry_tenant WHERE slug = %s", [self.slug]
            ).fetchone() or ("",)
            calls = connection.execute(
                f"SELECT request_id, cost_nusd, status FROM {schema}.usage_usagerecord"
            )
            ledger = connection.execute(
                f"SELECT code, balance_nusd FROM {schema}.ledger_ledgeraccount"
            )
            return Books(
                {f"req_{request_id.hex}": (cost, status) for request_id, cost, status in calls},
                dict(ledger.fetchall()),
            )


def new_customers(sandbox: RunningSandbox, credit_nusd: Mapping[str, int]) -> list[Customer]:
    """credit_nusd: by name, to which something is added that makes it this test's own."""
    slugs = [f"{name}-{secrets.token_hex(4)}" for name in credit_nusd]
    commands: list[list[str]] = []
    for slug, amount_nusd in zip(slugs, credit_nusd.values(), strict=True):
        amount = str(Decimal(amount_nusd) / NUSD)
        scopes = ("--scope", "inference", "--scope", "usage", "--scope", "agents")
        commands += [
            ["create_tenant", slug, "--owner-email", f"owner@{slug}.example"],
            ["grant_credit", slug, amount, "--reference", "test"],
            ["create_api_key", slug, "--json", *scopes],
        ]
    printed = sandbox.manage(*commands)
    keys = [json.loads(made.splitlines()[-1])["key"] for made in printed[2::3]]
    return [Customer(sandbox, slug, key) for slug, key in zip(slugs, keys, strict=True)]


def new_customer(sandbox: RunningSandbox, *, credit_nusd: int = 25 * NUSD) -> Customer:
    (customer,) = new_customers(sandbox, {"acme": credit_nusd})
    return customer
