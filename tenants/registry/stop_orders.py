"""Orders to end a tenant's running streams, for every process that has some.

A short list in Redis. Who looks each half second (billing/admission/stops.py) misses none: an
order stands for a minute.
"""

from dataclasses import dataclass

from agentflare.redis_store import get_redis, moment_of

_KEY = "stop_orders"
_KEPT_S = 60
_MOST = 1000


@dataclass(frozen=True, slots=True)
class StopOrder:
    """why: the tenant reads it. at: seconds since 1970, by Redis' clock; calls that began later
    are not meant."""

    tenant_code: str
    why: str
    at: float


def order_stop(tenant_code: str, why: str) -> None:
    """Raises RedisDownError; a repeat harms nobody."""
    pipeline = get_redis().pipeline()
    pipeline.xadd(_KEY, {"tenant": tenant_code, "why": why}, maxlen=_MOST, approximate=True)
    pipeline.expire(_KEY, _KEPT_S)
    pipeline.execute()


def orders_after(order_id: str) -> tuple[list[StopOrder], str]:
    """Orders that are newer than an id, and the id to ask with next time; "": none was seen yet.

    Raises RedisDownError.
    """
    entries = get_redis().xrange(_KEY, min=f"({order_id}" if order_id else "-")
    orders = [
        StopOrder(fields["tenant"], fields["why"], moment_of(entry_id))
        for entry_id, fields in entries
    ]
    return orders, entries[-1][0] if entries else order_id
