"""Whether Redis is as we left it: a mark in each partition, with the run that was told all.

A Redis that was flushed, or starts empty, has no marks. One that starts with data has those of
an earlier run: its data may be of earlier too (a copy put back, a replica that lagged, the last
second lost). Neither admits before it has been told what it may have missed: see recovery.
"""

from agentflare.partitions import PARTITIONS
from agentflare.redis_store import get_redis
from billing.admission import gate


def has_marks() -> bool:
    """Raises RedisDownError."""
    keys = [gate.mark_key(partition) for partition in range(PARTITIONS)]
    pipeline = get_redis().pipeline(transaction=False)
    for key in keys:
        pipeline.get(key)
    runs = pipeline.execute()
    # A run is of one server, so one of its partitions tells for all of them.
    key_of = dict(zip(runs, keys, strict=True))
    return None not in key_of and all(
        gate.script("has_mark")(keys=[key]) for key in key_of.values()
    )


def set_marks() -> None:
    """Raises RedisDownError."""
    pipeline = get_redis().pipeline(transaction=False)
    for partition in range(PARTITIONS):
        gate.script("set_mark")(keys=[gate.mark_key(partition)], client=pipeline)
    pipeline.execute()
