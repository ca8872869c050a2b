"""The sums afterwards, from the outside: what clients were told against what is booked."""

import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import psycopg
import redis

ROOT = Path(__file__).resolve().parents[3]


def manage(sandbox: Any, *arguments: str) -> tuple[int, str]:
    """Exit status and output of a command of manage.py on the sandbox."""
    done = subprocess.run(
        [sys.executable, "manage.py", *arguments],
        cwd=ROOT,
        env={**os.environ, **sandbox.env},
        capture_output=True,
        text=True,
        check=False,
    )
    return done.returncode, done.stdout + done.stderr


def wait_until_calm(sandbox: Any, *, timeout_s: float = 120) -> None:
    """Until nothing is held or unsettled and no rule is broken. Raises AssertionError."""
    deadline = time.monotonic() + timeout_s
    while True:
        status, printed = manage(sandbox, "audit")
        _, holds = manage(sandbox, "holds")
        if status == 0 and holds.startswith("0 holds") and not unsettled(sandbox):
            return
        assert time.monotonic() < deadline, f"{printed}\n{holds}"
        time.sleep(1)


def unsettled(sandbox: Any) -> int:
    """Events that wait in the outboxes."""
    client = redis.Redis.from_url(sandbox.env["REDIS_URL"], decode_responses=True)
    return sum(client.xlen(name) for name in client.scan_iter("*:outbox"))


def booked(sandbox: Any, slug: str) -> dict[str, tuple[int, str]]:
    """Request id → cost and status, from PostgreSQL itself."""
    return {
        f"req_{request_id.hex}": (cost, status)
        for request_id, cost, status in _query(
            sandbox, slug, "SELECT request_id, cost_nusd, status FROM {}.usage_usagerecord"
        )
    }


def balances(sandbox: Any, slug: str) -> dict[str, int]:
    """Ledger account → its balance, in nUSD."""
    rows = _query(sandbox, slug, "SELECT code, balance_nusd FROM {}.ledger_ledgeraccount")
    return dict(rows)


def _query(sandbox: Any, slug: str, sql: str) -> list[Any]:
    with psycopg.connect(sandbox.env["DATABASE_URL"]) as connection:
        (schema,) = connection.execute(
            "SELECT schema_name FROM registry_tenant WHERE slug = %s", [slug]
        ).fetchone() or ("",)
        return connection.execute(sql.format(schema)).fetchall()
