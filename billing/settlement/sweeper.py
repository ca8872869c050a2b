"""The holds of dead processes: captured for what they had delivered."""

import logging
from collections.abc import Mapping

from django.conf import settings

from agentflare.partitions import partition_key
from agentflare.redis_store import execute_where_it_answers, get_redis
from billing.admission import gate, late_captures, marks, outage, recovery

logger = logging.getLogger(__name__)
# A sweeper that has not been round for so long was away, or Redis was.
_GAP_MS = 6_000


def expire_holds() -> int:
    """Capture the holds of dead processes by their progress. Returns how many.

    First what the ledger or a spool knows of their ends. Waits while Redis is younger than a
    hold, or has just been away: after an outage its owners must have the time to renew. Of a
    cluster each partition waits for its own node.
    """
    sound = recovery.recovered(outage.parts())
    if not sound:
        return 0
    late_captures.take_in_spool()
    looks = marks.look(sound)
    clocks = {
        part: each.now_ms for part, each in looks.items() if each.uptime_s >= settings.HOLD_TTL_S
    }
    away = _were_away(clocks)
    partitions = [
        (partition, now_ms)
        for part, now_ms in clocks.items()
        if part not in away
        for partition in outage.partitions_of(part)
    ]
    pipeline = get_redis().pipeline(transaction=False)
    for partition, now_ms in partitions:
        pipeline.zrangebyscore(gate.holds_key(partition), "-inf", now_ms, start=0, num=1000)
    expired = 0
    for (partition, _), request_ids in zip(
        partitions, execute_where_it_answers(pipeline), strict=True
    ):
        for request_id in request_ids or ():
            expired += gate.expire(partition=partition, request_id=request_id)
    if expired:
        logger.warning("Captured %d holds whose process had died", expired)
    return expired


def _were_away(clocks: Mapping[int, int]) -> set[int]:
    """Parts whose Redis' clock has run on without us until less than a hold's life ago.

    A paused Redis (or machine) finds all holds expired when it goes on, while their owners live.
    clocks: by part, what it is now (ms).
    """
    keys = {part: partition_key(outage.partitions_of(part)[0], "sweeper") for part in clocks}
    reading, writing = (get_redis().pipeline(transaction=False) for _ in range(2))
    for key in keys.values():
        reading.hmget(key, "seen", "back")
    away = set()
    for (part, now_ms), told in zip(clocks.items(), execute_where_it_answers(reading), strict=True):
        seen_ms, back_ms = (int(text or 0) for text in told or (None, None))
        if now_ms - seen_ms > _GAP_MS:
            back_ms = now_ms
        writing.hset(keys[part], mapping={"seen": now_ms, "back": back_ms})
        if now_ms - back_ms < settings.HOLD_TTL_S * 1000:
            away.add(part)
    execute_where_it_answers(writing)
    return away
