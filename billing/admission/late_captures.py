"""Captures that had to wait in the spool, because neither store could take them."""

from agentflare.connections import patiently
from agentflare.redis_store import RedisDownError
from billing import spool
from billing.admission import fallback, gate, outage
from billing.usage.events import UsageEvent


def take_in_spool() -> int:
    """Returns how many. Raises OperationalError when there is no store that takes them."""
    return spool.take_in(_deliver)


def _deliver(event: UsageEvent) -> None:
    if not outage.is_on(outage.part_of(event.tenant_code)):
        try:
            gate.capture_event(event)
            return
        except RedisDownError:
            pass
    patiently(lambda: fallback.capture(event))
