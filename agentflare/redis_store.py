"""The connection to Redis: gate, holds, outbox and the cache of API keys.

Celery's broker is another database, perhaps another server: see settings.
"""

from functools import cache
from typing import Any

import redis
from django.conf import settings
from redis import exceptions
from redis.backoff import ExponentialBackoff
from redis.retry import Retry

# What a caller catches when Redis does not do its work: away or loading, too slow, full, a
# replica. It passes; an error of a script of ours does not, and is none of these.
RedisDownError = (
    exceptions.ConnectionError,
    exceptions.TimeoutError,
    exceptions.OutOfMemoryError,
    exceptions.ReadOnlyError,
)


@cache
def get_redis() -> Any:
    """This process' client, a redis.Redis that answers in str.

    Typed Any: redis-py's stubs answer bytes, str and awaitables at once. Made at first use,
    hence after gunicorn or Celery has forked.

    Commands that meet a broken connection are sent again: every script here is
    idempotent by request id, and everything else is a read.
    """
    pool = redis.BlockingConnectionPool.from_url(
        settings.REDIS_URL,
        max_connections=settings.REDIS_MAX_CONNECTIONS,
        # For a connection of ours to be free: a burst of calls waits, and is not refused.
        timeout=settings.REDIS_POOL_TIMEOUT_S,
        socket_timeout=settings.REDIS_TIMEOUT_S,
        socket_connect_timeout=settings.REDIS_TIMEOUT_S,
        retry=Retry(ExponentialBackoff(cap=0.2, base=0.02), retries=3),
        retry_on_error=[exceptions.ConnectionError, exceptions.TimeoutError],
        decode_responses=True,
    )
    return redis.Redis(connection_pool=pool)
