"""The holds of dead processes: captured for what they had delivered."""

import logging
from typing import Any

from django.conf import settings

from agentflare.partitions import PARTITIONS, partition_key
from agentflare.redis_store import get_redis
from billing.admission import gate, late_captures, recovery

logger = logging.getLogger(__name__)
# A sweeper that has not been round for so long was away, or Redis was.
_GAP_MS = 6_000


def expire_holds() -> int:
    """Capture the holds of dead processes by their progress. Returns how many.

    First what the ledger or a spool knows of their ends. Waits while Redis is younger than a
    hold, or has just been away: after an outage its owners must have the time to renew.
    """
    if not recovery.recover():
        return 0
    late_captures.take_in_spool()
    redis = get_redis()
    if int(redis.info("server")["uptime_in_seconds"]) < settings.HOLD_TTL_S:
        return 0
    now_ms = _now_ms(redis)
    if _was_away(redis, now_ms):
        return 0
    pipeline = redis.pipeline(transaction=False)
    for partition in range(PARTITIONS):
        pipeline.zrangebyscore(gate.holds_key(partition), "-inf", now_ms, start=0, num=1000)
    expired = 0
    for partition, request_ids in enumerate(pipeline.execute()):
        for request_id in request_ids:
            expired += gate.expire(partition=partition, request_id=request_id)
    if expired:
        logger.warning("Captured %d holds whose process had died", expired)
    return expired


def _was_away(redis: Any, now_ms: int) -> bool:
    """Whether Redis' clock has run on without us until less than a hold's life ago.

    A paused Redis (or machine) finds all holds expired when it goes on, while their owners live.
    """
    key = partition_key(0, "sweeper")
    seen_ms, back_ms = (int(text or 0) for text in redis.hmget(key, "seen", "back"))
    if now_ms - seen_ms > _GAP_MS:
        back_ms = now_ms
    redis.hset(key, mapping={"seen": now_ms, "back": back_ms})
    return now_ms - back_ms < settings.HOLD_TTL_S * 1000


def _now_ms(redis: Any) -> int:
    seconds, microseconds = redis.time()
    return int(seconds) * 1000 + int(microseconds) // 1000
