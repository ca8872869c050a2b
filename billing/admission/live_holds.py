"""The holds of this process: renewed while their calls run, captured when they end.

One background thread (a greenlet in a web worker) renews all holds every HOLD_RENEW_S with
their progress, sends captures that Redis could not take, and repeats the captures of the last
seconds when Redis has restarted, since it may have lost what it had confirmed.
"""

import logging
import os
import threading
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field

from django.conf import settings

from agentflare.redis_store import RedisDownError, get_redis
from billing.admission import gate
from billing.admission.rules import Count
from billing.usage.events import UsageEvent

logger = logging.getLogger(__name__)


@dataclass(slots=True, eq=False)
class Hold:
    """Credit reserved for a running call.

    `progress` tells the call's event as it would read if it ended now. `lost` becomes true
    when the hold was taken for dead and captured: the call must stop, for nobody would pay
    for the rest of it.
    """

    keys: gate.HoldKeys
    event: UsageEvent
    available_nusd: int
    # The windows that counted it.
    counts: list[Count] = field(default_factory=list)
    progress: Callable[[], UsageEvent] | None = None
    lost: bool = False
    ended_at: float = 0.0

    @property
    def request_id(self) -> str:
        return self.event.request_id


_holds: dict[str, Hold] = {}
_unsent: deque[Hold] = deque()
_sent: deque[Hold] = deque()
_keeper: threading.Thread | None = None
_keeper_pid = 0
_redis_run_id = ""
_lock = threading.Lock()


def add(hold: Hold) -> None:
    _holds[hold.request_id] = hold
    _start_keeper()


def remove(hold: Hold) -> None:
    _holds.pop(hold.request_id, None)


def send_capture(hold: Hold) -> tuple[int, int]:
    """Capture in Redis. Returns (cost, available). Raises RedisDownError."""
    result = _capture(hold)
    hold.ended_at = time.monotonic()
    _sent.append(hold)
    return result


def _capture(hold: Hold) -> tuple[int, int]:
    return gate.capture(
        hold.keys,
        request_id=hold.request_id,
        tenant_code=hold.event.tenant_code,
        cost_nusd=hold.event.cost_nusd,
        event=hold.event.dumps(),
        tokens=hold.event.tokens,
    )


def send_later(hold: Hold) -> None:
    _unsent.append(hold)
    _start_keeper()


def unsent_count() -> int:
    """Captures that wait for Redis to come back."""
    return len(_unsent)


def _start_keeper() -> None:
    """Once per process; again after a fork."""
    global _keeper, _keeper_pid
    if _keeper_pid == os.getpid() and _keeper and _keeper.is_alive():
        return
    with _lock:
        if _keeper_pid == os.getpid() and _keeper and _keeper.is_alive():
            return
        _keeper_pid = os.getpid()
        _keeper = threading.Thread(target=_keep, name="live-holds", daemon=True)
        _keeper.start()


def _keep() -> None:
    while True:
        time.sleep(settings.HOLD_RENEW_S)
        # Each by itself: whatever goes wrong in one, the holds must be renewed.
        for duty in (renew_all, repeat_captures_after_restart, send_unsent, forget_old_captures):
            try:
                duty()
            except RedisDownError:
                waiting = (len(_holds), len(_unsent))
                logger.warning("Redis is down: %d holds, %d captures wait", *waiting)
            except Exception:
                logger.exception("%s failed", duty.__name__)


def renew_all() -> None:
    """Renew every hold of this process in one round trip."""
    holds = list(_holds.values())
    if not holds:
        return
    pipeline = get_redis().pipeline(transaction=False)
    for hold in holds:
        event = _event_so_far(hold)
        gate.renew(
            hold.keys,
            request_id=hold.request_id,
            tenant_code=event.tenant_code,
            amount_nusd=event.estimated_nusd,
            cost_nusd=event.cost_nusd,
            event=event.dumps(),
            client=pipeline,
        )
    for hold, alive in zip(holds, pipeline.execute(raise_on_error=False), strict=True):
        if isinstance(alive, RedisDownError):
            raise alive
        if isinstance(alive, Exception):
            logger.error("The hold of %s was not renewed: %s", hold.request_id, alive)
        elif not alive and hold.request_id in _holds:
            logger.error("The hold of %s was taken for dead", hold.request_id)
            hold.lost = True
            remove(hold)


def _event_so_far(hold: Hold) -> UsageEvent:
    """One call whose progress cannot be told must not cost the others their renewal."""
    try:
        event = hold.progress() if hold.progress else hold.event
        event.dumps()
    except Exception:
        logger.exception("The progress of %s cannot be told", hold.request_id)
        return hold.event
    return event


def send_unsent() -> None:
    """Send what waits. One that fails goes to the end, so that none keeps back the others."""
    for _ in range(len(_unsent)):
        hold = _unsent.popleft()
        try:
            send_capture(hold)
        except Exception:
            _unsent.append(hold)
            raise


def repeat_captures_after_restart() -> None:
    global _redis_run_id
    run_id = get_redis().info("server")["run_id"]
    if _redis_run_id and run_id != _redis_run_id:
        repeat_captures()
    _redis_run_id = run_id


def repeat_captures() -> None:
    """Send the captures of the last seconds once more; those that stand change nothing."""
    logger.warning("Redis has restarted: repeating %d captures", len(_sent))
    for hold in list(_sent):
        _capture(hold)


def forget_old_captures() -> None:
    oldest = time.monotonic() - settings.CAPTURE_REPLAY_S
    while _sent and _sent[0].ended_at < oldest:
        _sent.popleft()
