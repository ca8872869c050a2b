"""Streams that end in the middle because the operator wants it: their tenant was suspended.

One background thread of a process that has streams looks for orders twice a second, and breaks
them off wherever they are, also while upstream is silent.
"""

import logging
import threading
import time
from collections.abc import Callable

from agentflare.background import ProcessThread
from agentflare.redis_store import RedisDownError
from billing.admission.live_holds import Hold, streams
from tenants.registry.stop_orders import StopOrder, orders_after

logger = logging.getLogger(__name__)
_LOOK_S = 0.5

_has_some = threading.Event()
_last_id = ""


def watch(hold: Hold, on_stop: Callable[[], None]) -> None:
    """Until it is captured. on_stop: breaks the stream off; called once at most, from another
    greenlet, after `hold.why_stopped` was set."""
    hold.on_stop = on_stop
    _has_some.set()
    _watcher.start()


def look() -> None:
    """Obey the orders that have come. Raises RedisDownError."""
    global _last_id
    orders, _last_id = orders_after(_last_id)
    for order in orders:
        _obey(order)


def _obey(order: StopOrder) -> None:
    for hold in streams():
        is_meant = hold.event.tenant_code == order.tenant_code
        if not is_meant or hold.why_stopped or hold.event.started_at > order.at:
            continue
        hold.why_stopped = order.why
        logger.info("Stopped %s: its tenant is suspended", hold.request_id)
        assert hold.on_stop is not None
        try:
            hold.on_stop()
        except Exception:
            # It ends at its next piece all the same.
            logger.exception("%s could not be broken off", hold.request_id)


def _look_out() -> None:
    while True:
        if not streams():
            _has_some.clear()
            # One may have come before that.
            if not streams():
                _has_some.wait()
        try:
            look()
        except RedisDownError:
            pass  # orders stand there until it is back, and new ones cannot be given
        except Exception:
            logger.exception("Stop orders cannot be read")
        time.sleep(_LOOK_S)


_watcher = ProcessThread("stop-orders", _look_out)
