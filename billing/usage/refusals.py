"""Calls that were refused before anything was held. They cost nothing and leave no usage record.

Counted by the hour, key and code in a hash of Redis for each partition, which a task takes to
UsageEnds; and the latest of each tenant are kept as they were told. A refusal costs one round
trip to Redis, a call that is let through none. Statistics, not money: what Redis loses is lost.
"""

import logging
import time
from collections import defaultdict
from contextlib import suppress
from dataclasses import asdict, dataclass
from datetime import UTC, datetime

import orjson
from django.db import DataError, Error, ProgrammingError, connection

from agentflare.partitions import partition_key, partition_of, tenant_key
from agentflare.redis_store import RedisDownError, get_redis
from billing.usage.ends import BOTH, ON_CONFLICT
from tenants.registry.schemas import tenant_schema

logger = logging.getLogger(__name__)
# Of each tenant, and for how long after the last one.
KEPT = 200
_KEPT_S = 30 * 24 * 3600
_LONGEST = 400
# Takes the counts and leaves none, so that two workers do not add the same.
_TAKE = """
local counts = redis.call('HGETALL', KEYS[1])
redis.call('DEL', KEYS[1])
return counts
"""
_ADD = f"""
INSERT INTO usage_usageends AS sums (is_day, start, key_id, ai_model, "end", is_refused, calls,
    cost_nusd)
SELECT is_day, date_trunc(width, hour, 'UTC'), key_id, '', code, true, sum(calls), 0
  FROM unnest(%(hours)s::timestamptz[], %(keys)s::text[], %(codes)s::text[], %(calls)s::bigint[])
       AS refused (hour, key_id, code, calls), {BOTH}
 GROUP BY 1, 2, 3, 5 ORDER BY 1, 2, 3, 5
{ON_CONFLICT}"""  # noqa: S608  # words of ours alone


@dataclass(frozen=True, slots=True)
class Refusal:
    """One refused call, as its client was told. at: seconds since 1970."""

    request_id: str
    key_id: str
    endpoint: str
    ai_model: str
    status: int
    code: str
    message: str
    at: float

    @property
    def moment(self) -> datetime:
        return datetime.fromtimestamp(self.at, UTC)


def note_refusal(tenant_code: str, refusal: Refusal) -> None:
    """Never fails: a client's refusal is not worse for Redis being down."""
    hour = int(refusal.at) // 3600 * 3600
    field = f"{tenant_code}:{hour}:{refusal.key_id}:{refusal.code[:60]}"
    told = {
        **asdict(refusal),
        "message": refusal.message[:_LONGEST],
        "ai_model": refusal.ai_model[:80],
    }
    latest = _latest_key(tenant_code)
    with suppress(*RedisDownError):
        pipeline = get_redis().pipeline(transaction=False)
        pipeline.hincrby(_counts_key(partition_of(tenant_code)), field, 1)
        pipeline.lpush(latest, orjson.dumps(told))
        pipeline.ltrim(latest, 0, KEPT - 1)
        pipeline.expire(latest, _KEPT_S)
        pipeline.execute()


def latest_refusals(tenant_code: str) -> list[Refusal]:
    """Newest first, at most KEPT. Raises RedisDownError."""
    kept = get_redis().lrange(_latest_key(tenant_code), 0, KEPT - 1)
    return [Refusal(**orjson.loads(text)) for text in kept]


def find_refusal(tenant_code: str, request_id: str) -> Refusal | None:
    """request_id: 32 hexadecimal digits. Raises RedisDownError."""
    refusals = latest_refusals(tenant_code)
    return next((each for each in refusals if each.request_id == request_id), None)


def save_refusals(partition: int) -> int:
    """Take the counts of a partition to its tenants' sums. Returns how many calls.

    Raises DatabaseError when PostgreSQL does not take them; then they wait in Redis.
    """
    redis = get_redis()
    flat = redis.eval(_TAKE, 1, _counts_key(partition))
    left = {field: int(count) for field, count in zip(flat[::2], flat[1::2], strict=True)}
    by_tenant = defaultdict(list)
    for field in left:
        by_tenant[field.partition(":")[0]].append(field)
    saved = 0
    try:
        for tenant_code, fields in by_tenant.items():
            try:
                _add(tenant_code, {field: left[field] for field in fields})
            except (ProgrammingError, DataError):
                logger.exception("Refused calls of %s cannot be counted", tenant_code)
            for field in fields:
                saved += left.pop(field)
    except Error:
        pipeline = redis.pipeline(transaction=False)
        for field, count in left.items():
            pipeline.hincrby(_counts_key(partition), field, count)
        pipeline.execute()
        raise
    return saved


def _add(tenant_code: str, counts: dict[str, int]) -> None:
    rows = [field.split(":", 3)[1:] for field in counts]
    with tenant_schema(tenant_code), connection.cursor() as cursor:
        cursor.execute(
            _ADD,
            {
                "hours": [datetime.fromtimestamp(int(hour), UTC) for hour, _, _ in rows],
                "keys": [key_id for _, key_id, _ in rows],
                "codes": [code for _, _, code in rows],
                "calls": list(counts.values()),
            },
        )


def refusal_now(
    *,
    request_id: str,
    key_id: str,
    endpoint: str,
    ai_model: str,
    status: int,
    code: str,
    message: str,
) -> Refusal:
    return Refusal(request_id, key_id, endpoint, ai_model, status, code, message, time.time())


def _counts_key(partition: int) -> str:
    """Hash: `<tenant code>:<hour, seconds since 1970>:<key id>:<code>` → calls."""
    return partition_key(partition, "refused")


def forget_refusals(tenant_code: str) -> None:
    """The latest ones, as they were told; not how many there were."""
    get_redis().delete(_latest_key(tenant_code))


def _latest_key(tenant_code: str) -> str:
    return tenant_key(tenant_code, f"refusals:{tenant_code}")
