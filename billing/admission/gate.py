"""The gate: each tenant's books in Redis, and the scripts that change them.

`{pNN}:gate:<tenant>` holds `posted` (the ledger's balance), `held` (by running calls),
`unsettled` (captured, not booked yet) and `version` (the ledger's). A call may start while
`posted - held - unsettled` pays for it. Each script is one atomic step, and each is
idempotent by request id: sending it again after a lost answer is safe.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from django.conf import settings
from redis.commands.core import Script

from agentflare.partitions import partition_key, partition_of, tenant_key
from agentflare.redis_store import get_redis
from tenants.registry.status import status_key

_SCRIPTS = Path(__file__).parent / "scripts"


@dataclass(frozen=True, slots=True)
class Gate:
    """A tenant's books at one moment, in nUSD."""

    posted: int
    held: int
    unsettled: int

    @property
    def available(self) -> int:
        return self.posted - self.held - self.unsettled


@dataclass(frozen=True, slots=True)
class HoldKeys:
    """Where a request's hold lives, and what it touches."""

    gate: str
    standing: str
    hold: str
    holds: str
    done: str
    outbox: str

    @classmethod
    def of(cls, tenant_code: str, request_id: str) -> "HoldKeys":
        partition = partition_of(tenant_code)
        return cls(
            gate=gate_key(tenant_code),
            standing=status_key(tenant_code),
            hold=hold_key(partition, request_id),
            holds=holds_key(partition),
            done=partition_key(partition, f"done:{request_id}"),
            outbox=outbox_key(partition),
        )


def gate_key(tenant_code: str) -> str:
    return tenant_key(tenant_code, f"gate:{tenant_code}")


def hold_key(partition: int, request_id: str) -> str:
    return partition_key(partition, f"hold:{request_id}")


def holds_key(partition: int) -> str:
    """Sorted set: the partition's request ids by the moment their holds expire (ms)."""
    return partition_key(partition, "holds")


def outbox_key(partition: int) -> str:
    """Stream: usage events that the ledger has not booked yet."""
    return partition_key(partition, "outbox")


@cache
def script(name: str) -> Script:
    text = (_SCRIPTS / f"{name}.lua").read_text()
    registered: Script = get_redis().register_script(text)
    return registered


def admit(
    keys: HoldKeys, *, request_id: str, tenant_code: str, amount_nusd: int, event: str
) -> Sequence[Any]:
    """Returns the script's verdict and its facts: see admit.lua."""
    verdict: Sequence[Any] = script("admit")(
        keys=[keys.gate, keys.standing, keys.hold, keys.holds, keys.done],
        args=[request_id, tenant_code, amount_nusd, settings.HOLD_TTL_S * 1000, event],
    )
    return verdict


def renew(
    keys: HoldKeys,
    *,
    request_id: str,
    tenant_code: str,
    amount_nusd: int,
    cost_nusd: int,
    event: str,
    client: Any = None,
) -> Any:
    """1, or 0 when the hold has ended; nothing yet when `client` is a pipeline."""
    return script("renew")(
        keys=[keys.gate, keys.hold, keys.holds, keys.done],
        args=[
            request_id,
            tenant_code,
            amount_nusd,
            settings.HOLD_TTL_S * 1000,
            cost_nusd,
            event,
        ],
        client=client,
    )


def capture(
    keys: HoldKeys, *, request_id: str, tenant_code: str, cost_nusd: int, event: str
) -> tuple[int, int]:
    """Returns (cost as captured first, available), in nUSD."""
    cost, available = script("capture")(
        keys=[keys.gate, keys.hold, keys.holds, keys.done, keys.outbox],
        args=[request_id, tenant_code, cost_nusd, event, settings.CAPTURE_MEMORY_S],
    )
    return int(cost), int(available)


def expire(*, partition: int, request_id: str) -> bool:
    """Capture one dead hold by its progress. False: it was alive, or has ended."""
    tenant_code = get_redis().hget(hold_key(partition, request_id), "tenant")
    if tenant_code is None:
        # Half a hold: Redis came back without the rest of it.
        get_redis().zrem(holds_key(partition), request_id)
        return False
    keys = HoldKeys.of(tenant_code, request_id)
    ended = script("expire")(
        keys=[keys.gate, keys.hold, keys.holds, keys.done, keys.outbox],
        args=[request_id, settings.CAPTURE_MEMORY_S],
    )
    return bool(ended)


def settle(
    *, tenant_code: str, posted_nusd: int, version: int, events: Sequence[tuple[str, int]]
) -> int:
    """Take booked events, (stream id, cost) each, out of outbox and `unsettled`."""
    flat = [value for event in events for value in event]
    left = script("settle")(
        keys=[gate_key(tenant_code), outbox_key(partition_of(tenant_code))],
        args=[posted_nusd, version, *flat],
    )
    return int(left)


def sync(*, tenant_code: str, posted_nusd: int, version: int) -> None:
    """Tell the gate the ledger's balance as of `version`; a lower version is ignored."""
    script("sync")(keys=[gate_key(tenant_code)], args=[posted_nusd, version])


def read(tenant_code: str) -> Gate | None:
    """The books; None when Redis does not have them (they are made at the next call)."""
    posted, held, unsettled = get_redis().hmget(
        gate_key(tenant_code), "posted", "held", "unsettled"
    )
    if posted is None:
        return None
    return Gate(posted=int(posted), held=int(held or 0), unsettled=int(unsettled or 0))
