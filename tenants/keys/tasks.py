"""Taking what Redis has noted of keys to their rows."""

from datetime import UTC, datetime

from celery import shared_task

from agentflare.partitions import PARTITIONS
from agentflare.redis_store import RedisDownError, get_redis
from tenants.keys import lookup
from tenants.keys.models import ApiKey
from tenants.registry.schemas import tenant_schema

# Takes the notes and leaves none, so that two workers do not write the same.
_TAKE = """
local notes = redis.call('HGETALL', KEYS[1])
redis.call('DEL', KEYS[1])
return notes
"""


@shared_task
def save_last_used_task() -> int:
    """Take when and from where keys were last used from Redis to their rows. Returns how many."""
    saved, down = 0, None
    redis = get_redis()
    for partition in range(PARTITIONS):
        try:
            notes = redis.eval(_TAKE, 1, lookup.last_used_key(partition))
        except RedisDownError as exc:  # of a cluster another node may answer
            down = exc
            continue
        for noted, use in zip(notes[::2], notes[1::2], strict=True):
            tenant_code, _, key_id = noted.partition(":")
            used_at, _, ip = use.partition(" ")
            with tenant_schema(tenant_code):
                ApiKey.objects.filter(key_id=key_id).update(
                    last_used_at=datetime.fromtimestamp(float(used_at), UTC),
                    last_used_ip=ip or None,
                )
            saved += 1
    if down:
        raise down
    return saved
