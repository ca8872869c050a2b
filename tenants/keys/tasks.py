"""Taking what Redis has noted of keys to their rows."""

from datetime import UTC, datetime

from celery import shared_task

from agentflare.partitions import PARTITIONS
from agentflare.redis_store import get_redis
from tenants.keys import lookup
from tenants.keys.models import ApiKey
from tenants.registry.schemas import tenant_schema


@shared_task
def save_last_used_task() -> int:
    """Take the times of last use from Redis to the keys' rows. Returns how many."""
    saved = 0
    redis = get_redis()
    for partition in range(PARTITIONS):
        name = lookup.last_used_key(partition)
        for member, used_at in redis.zpopmin(name, 10_000):
            tenant_code, _, key_id = member.partition(":")
            with tenant_schema(tenant_code):
                ApiKey.objects.filter(key_id=key_id).update(
                    last_used_at=datetime.fromtimestamp(used_at, UTC)
                )
            saved += 1
    return saved
