"""Orders to end a turn, for the process that works at it, whichever that is.

A short list in Redis, as the orders that end a tenant's streams (tenants/registry/stop_orders.py).
"""

import logging
import threading
import time
from collections.abc import Callable, Iterable
from contextlib import suppress
from uuid import UUID

from agentflare.background import ProcessThread
from agentflare.redis_store import RedisDownError, get_redis

logger = logging.getLogger(__name__)
_KEY = "turn_cancels"
_KEPT_S = 60
_MOST = 10_000
_LOOK_S = 0.2

_running: dict[UUID, Callable[[], None]] = {}
_has_some = threading.Event()


def watch(turn_id: UUID, on_cancel: Callable[[], None]) -> None:
    """on_cancel is called from another greenlet, perhaps more than once."""
    _running[turn_id] = on_cancel
    _has_some.set()
    _watcher.start()


def forget(turn_id: UUID) -> None:
    _running.pop(turn_id, None)


def cancel(turn_id: UUID) -> None:
    """A repeat changes nothing. Raises RedisDownError where another process may have it."""
    if on_cancel := _running.get(turn_id):
        on_cancel()
        return
    pipeline = get_redis().pipeline()
    pipeline.xadd(_KEY, {"turn": turn_id.hex}, maxlen=_MOST, approximate=True)
    pipeline.expire(_KEY, _KEPT_S)
    pipeline.execute()


def cancel_all(turn_ids: Iterable[UUID | None]) -> None:
    """Before they are deleted. Never raises: what runs on finds out when it is saved."""
    with suppress(*RedisDownError):
        for turn_id in turn_ids:
            if turn_id is not None:
                cancel(turn_id)


def _look_out() -> None:
    # Orders are younger than the turn that they end: those before this process' first are not ours.
    last_id = f"{int((time.time() - _KEPT_S) * 1000)}-0"
    while True:
        if not _running:
            _has_some.clear()
            if not _running:
                _has_some.wait()
        try:
            last_id = _look(last_id)
        except RedisDownError:
            pass  # they stand there until it is back
        except Exception:  # a thread that must go on
            logger.exception("Orders to end turns cannot be read")
        time.sleep(_LOOK_S)


def _look(last_id: str) -> str:
    for entry_id, fields in get_redis().xrange(_KEY, min=f"({last_id}"):
        last_id = entry_id
        if on_cancel := _running.get(UUID(hex=fields["turn"])):
            try:
                on_cancel()
            except Exception:  # the others are ended all the same
                logger.exception("Turn %s could not be ended", fields["turn"])
    return last_id


_watcher = ProcessThread("turn-cancels", _look_out)
