"""Django's cache on a Redis Cluster; on one Redis it is Django's own."""

from functools import cached_property
from typing import Any

from django.core.cache.backends.redis import RedisCache, RedisCacheClient

from agentflare.redis_store import get_cluster


class _ClusterCacheClient(RedisCacheClient):
    @cached_property
    def _cluster(self) -> Any:
        return get_cluster(decode_responses=False)

    def get_client(self, key: Any = None, *, write: bool = False) -> Any:
        return self._cluster

    def set_many(self, data: Any, timeout: Any) -> None:
        """One by one: MSET would want them in one slot."""
        for key, value in data.items():
            self.set(key, value, timeout)

    def clear(self) -> bool:
        """Not for a cluster: the gate's books are in the same database, the only one there is."""
        raise NotImplementedError("A cache on a Redis Cluster is not cleared: keys expire.")


class ClusterCache(RedisCache):
    def __init__(self, server: str, params: dict[str, Any]) -> None:
        super().__init__([server], params)
        self._class = _ClusterCacheClient
