"""What a test may ask of a tenant's books once its calls are settled."""

import json
import time
from collections.abc import Callable
from decimal import Decimal
from typing import Any

from agentflare.partitions import partition_of
from billing import invariants
from billing.admission.services import books
from billing.settlement.services import settle_partition
from billing.usage.models import UsageRecord
from tenants.registry.schemas import tenant_schema

USD = 10**9


def say(**directive: Any) -> str:
    """Text that tells the stand-in what to do."""
    return f"[[sandbox {json.dumps(directive)}]]"


def wait_for(condition: Callable[[], Any], timeout_s: float = 40) -> Any:
    deadline = time.monotonic() + timeout_s
    while not (value := condition()):
        assert time.monotonic() < deadline, "did not happen in time"
        time.sleep(0.05)
    return value


def settled_records(cast: Any, count: int = 1) -> list[UsageRecord]:
    """The tenant's usage records, once there are so many and everything is settled."""

    def look() -> list[UsageRecord]:
        # The gateway's worker does so every second; who comes first does not matter.
        settle_partition(partition=partition_of(cast.code))
        with tenant_schema(cast.code):
            records = list(UsageRecord.objects.all())
        gate = books(cast.tenant)
        done = len(records) >= count and not gate.unsettled and not gate.held
        return records if done else []

    records = wait_for(look)
    assert len(records) == count
    assert [*invariants.check_ledger(cast.tenant), *invariants.check_gate(cast.tenant)] == []
    return list(records)


def settled_record(cast: Any) -> UsageRecord:
    return settled_records(cast)[0]


def nusd(dollars: str) -> int:
    return int(Decimal(dollars) * USD)
