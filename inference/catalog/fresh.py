"""A change of the operator's is known in all processes within a second, not only when their
snapshot of the catalogue is old: Redis has its number, and each process that calls looks there."""

from contextlib import suppress

from agentflare.redis_store import RedisDownError, get_redis
from inference.catalog import selectors

_KEY = "catalogue_version"
_known: str | None = None


def changed() -> None:
    """Something of models, prices, routes or upstreams is otherwise. While Redis is down others
    learn of it when their snapshot is old."""
    selectors.forget()
    with suppress(*RedisDownError):
        get_redis().incr(_KEY)


def look() -> None:
    """Each second. Raises RedisDownError."""
    global _known
    version = get_redis().get(_KEY) or ""
    is_news = _known is not None and version != _known
    if not is_news or selectors.refresh():
        _known = version
