"""Whether the money adds up: a bench that loses some measures nothing."""

import json
import time
from dataclasses import dataclass
from decimal import Decimal

import psycopg
from psycopg import sql

from bench.load import Told
from bench.stack import GRANT_USD, TENANT, BenchError, Stack

_NUSD = Decimal(1_000_000_000)
_SETTLE_S = 60.0


@dataclass(frozen=True)
class Books:
    """What the ledger says. booked_after_s: from the last answer to the last usage record."""

    calls: int
    records: int
    told_nusd: int
    booked_nusd: int
    booked_after_s: float
    faults: list[str]


def check_books(stack: Stack, told: Told, *, ended_at: float) -> Books:
    """Wait for settlement, then hold the ledger against what the answers said.

    ended_at: by time.monotonic(), when the last answer came.
    """
    records, booked_nusd = wait_for_records(stack, told.calls)
    booked_after_s = time.monotonic() - ended_at
    faults = list(dict.fromkeys(told.failures))[:5]
    if records != told.calls:
        faults.append(f"{told.calls} calls were answered, {records} are booked")
    if booked_nusd != told.cost_nusd:
        faults.append(f"answers said {told.cost_nusd} nUSD, the ledger {booked_nusd}")
    faults += balance_faults(stack, booked_nusd)
    try:
        stack.manage("audit", "--quiet")
    except BenchError as exc:
        faults.append(str(exc))
    return Books(
        calls=told.calls,
        records=records,
        told_nusd=told.cost_nusd,
        booked_nusd=booked_nusd,
        booked_after_s=booked_after_s,
        faults=faults,
    )


def balance_faults(stack: Stack, booked_nusd: int) -> list[str]:
    """Gate and grant: what was given is what was spent and what is left, and nothing is held."""
    expected = {"posted": int(GRANT_USD * _NUSD) - booked_nusd, "held": 0, "unsettled": 0}
    left: dict[str, int] = {}
    for _ in range(3):  # the gate hears of the last batch just after its records are there
        balance = json.loads(stack.manage("balance", TENANT, "--json"))
        left = {name: int(Decimal(balance[name]) * _NUSD) for name in expected}
        if left == expected:
            return []
    return [f"the gate has {left}, not {expected}"]


def wait_for_records(stack: Stack, calls: int) -> tuple[int, int]:
    """Usage records and the sum of their costs, as soon as there are enough of them."""
    deadline = time.monotonic() + _SETTLE_S
    with psycopg.connect(stack.environment["DATABASE_URL"], autocommit=True) as connection:
        find = "SELECT schema_name FROM registry_tenant WHERE slug = %s"
        (schema,) = connection.execute(find, [TENANT]).fetchone() or ("",)
        count = sql.SQL("SELECT count(*), coalesce(sum(cost_nusd), 0) FROM {}.usage_usagerecord")
        query = count.format(sql.Identifier(schema))
        while True:
            records, cost_nusd = connection.execute(query).fetchone() or (0, 0)
            if records >= calls or time.monotonic() > deadline:
                return int(records), int(cost_nusd)
            time.sleep(0.1)
