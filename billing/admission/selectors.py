"""What is held at this moment, and for whom."""

import time
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime

from agentflare.partitions import PARTITIONS, partition_of
from agentflare.redis_store import get_redis
from billing.admission import gate
from billing.usage.events import UsageEvent

_AT_ONCE = 500


@dataclass(frozen=True, slots=True)
class RunningHold:
    """Credit that a running call has reserved. cost_nusd: what it had used when last renewed."""

    tenant_code: str
    request_id: str
    amount_nusd: int
    cost_nusd: int
    since: datetime
    event: UsageEvent

    @property
    def age_ms(self) -> int:
        return max(0, round((time.time() - self.since.timestamp()) * 1000))


def running_holds(tenant_code: str) -> list[RunningHold]:
    """A tenant's, the oldest first. Raises RedisDownError."""
    holds = [
        hold
        for hold in holds_of_partition(partition_of(tenant_code))
        if hold.tenant_code == tenant_code
    ]
    return sorted(holds, key=lambda hold: hold.since)


def holds_of_partition(partition: int) -> Iterator[RunningHold]:
    """Those of all its tenants. One that ends meanwhile is left out."""
    redis = get_redis()
    request_ids = redis.zrange(gate.holds_key(partition), 0, -1)
    for at in range(0, len(request_ids), _AT_ONCE):
        batch = request_ids[at : at + _AT_ONCE]
        pipeline = redis.pipeline(transaction=False)
        for request_id in batch:
            pipeline.hmget(
                gate.hold_key(partition, request_id), "tenant", "amount", "cost", "since", "event"
            )
        for request_id, fields in zip(batch, pipeline.execute(), strict=True):
            tenant_code, amount, cost, since, event = fields
            if tenant_code is None or event is None:
                continue
            yield RunningHold(
                tenant_code=tenant_code,
                request_id=request_id,
                amount_nusd=int(amount),
                cost_nusd=int(cost or 0),
                since=datetime.fromtimestamp(int(since) / 1000, UTC),
                event=UsageEvent.loads(event),
            )


def all_holds() -> list[RunningHold]:
    """Of all tenants, the oldest first. Raises RedisDownError."""
    holds = [hold for partition in range(PARTITIONS) for hold in holds_of_partition(partition)]
    return sorted(holds, key=lambda hold: hold.since)
