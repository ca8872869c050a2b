"""The holds of this process: renewed while their calls run, captured when they end.

One background thread (a greenlet in a web worker) renews all holds every HOLD_RENEW_S with
their progress, and repeats the captures that are not settled yet when Redis has restarted, since
it may have lost what it had confirmed. While Redis is down it renews them in PostgreSQL, and tells
Redis when it is back.
"""

import logging
import time
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field

from django.conf import settings
from django.db import InterfaceError, OperationalError, connection

from agentflare.background import ProcessThread
from agentflare.connections import patiently
from agentflare.redis_store import RedisDownError, breaker, get_redis, moment_of
from billing.admission import fallback, gate, outage, peers, recent, recovery, told
from billing.admission.late_captures import take_in_spool
from billing.admission.marks import has_marks
from billing.admission.rules import NOT_COUNTED, Count, Place
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
    place: Place = NOT_COUNTED
    # What this process remembers it in, until its tokens are corrected.
    counted: recent.Counted | None = None
    progress: Callable[[], UsageEvent] | None = None
    lost: bool = False
    # Breaks a stream off, from another greenlet; set by stops.watch.
    on_stop: Callable[[], None] | None = None
    # Set when the operator ends the call: what the tenant reads.
    why_stopped: str = ""
    renewed_at: float = field(default_factory=time.monotonic)
    ended_at: float = 0.0

    @property
    def request_id(self) -> str:
        return self.event.request_id


_holds: dict[str, Hold] = {}
# Captures that Redis has, and the ledger perhaps not yet.
_sent: deque[Hold] = deque(maxlen=10_000)
# Asked for while Redis did not answer, and refused then: it may hold them all the same.
_unwanted: deque[UsageEvent] = deque(maxlen=10_000)
_redis_run_id = ""
_seen_at = 0.0
# While Redis is down: how often it is asked, and PostgreSQL told how far our calls are.
_OUTAGE_TICK_S = 1.0


def add(hold: Hold) -> None:
    _holds[hold.request_id] = hold
    start_keeper()


def remove(hold: Hold) -> None:
    _holds.pop(hold.request_id, None)


def running() -> list[Hold]:
    """Of this process."""
    return list(_holds.values())


def streams() -> list[Hold]:
    """Those of this process that can be broken off."""
    return [hold for hold in list(_holds.values()) if hold.on_stop]


def note_unwanted(event: UsageEvent) -> None:
    """Redis may have admitted it, or may do so yet, and nobody is going to make this call."""
    _unwanted.append(event)
    start_keeper()


def correct(hold: Hold) -> None:
    """Its tokens are what its event says now. Once."""
    counted, hold.counted = hold.counted, None
    if counted is not None:
        recent.correct(counted, by_tokens=hold.event.tokens - hold.place.tokens)


def forget_all() -> None:
    """As a process that has just started."""
    global _redis_run_id, _seen_at
    _holds.clear()
    _sent.clear()
    _unwanted.clear()
    recent.forget_all()
    _redis_run_id, _seen_at = "", 0.0


def unsettled_captures() -> list[UsageEvent]:
    """What is lost with Redis if this process is lost too."""
    return [hold.event for hold in list(_sent)]


def send_capture(hold: Hold) -> tuple[int, int]:
    """Capture in Redis. Returns (cost, available). Raises RedisDownError."""
    cost_nusd, available_nusd = _capture(hold)
    # One that was captured before, for another cost, is not ours to repeat.
    if cost_nusd == hold.event.cost_nusd:
        hold.ended_at = time.monotonic()
        _sent.append(hold)
    return cost_nusd, available_nusd


def _capture(hold: Hold) -> tuple[int, int]:
    return gate.capture_event(hold.event, hold.keys)


def start_keeper() -> None:
    """Once per process; again after a fork."""
    _keeper.start()


def _keep() -> None:
    while True:
        outage.woken.wait(_OUTAGE_TICK_S if outage.is_on() else settings.HOLD_RENEW_S)
        outage.woken.clear()
        # Each by itself: whatever goes wrong in one, the holds must be renewed.
        in_order = (renew_all, look_at_redis, end_unwanted, live)
        duties = (live_without_redis,) if outage.is_on() else in_order
        for duty in (*duties, forget_old_captures, recent.forget_old, take_in_spool):
            try:
                duty()
            except RedisDownError as exc:
                if not outage.is_on() and not breaker.ask():
                    outage.enter(exc)
            except (OperationalError, InterfaceError) as exc:
                logger.warning("PostgreSQL is down: %s (%s)", duty.__name__, exc)
            except Exception:
                logger.exception("%s failed", duty.__name__)
        # A thread keeps its connection, and the pool has few.
        connection.close()


def live_without_redis() -> None:
    """Tell PostgreSQL what our calls hold; tell Redis all when it is back.

    Raises OperationalError, RedisDownError.
    """
    is_back = breaker.ask()
    try:
        _tell_postgresql(is_back=is_back)
        if not is_back or not patiently(recovery.recover):
            return
    except (OperationalError, InterfaceError):
        # Where PostgreSQL knows nothing of it, Redis has missed nothing.
        if outage.is_told() or not is_back or not has_marks():
            raise
    outage.leave()
    renew_all()
    repeat_captures()


def _tell_postgresql(*, is_back: bool) -> None:
    """The holds of our calls at each tick; once, what Redis has captured last."""
    if not is_back or not outage.is_told():
        patiently(fallback.open_outage)
    # Before that a call may still get its hold, or its capture, from Redis.
    is_settled = outage.is_settled()
    running = [(_event_so_far(hold), hold.place) for hold in list(_holds.values())]
    patiently(lambda: fallback.carry_over(running))
    if not outage.has_told_all():
        captured = unsettled_captures()
        patiently(lambda: fallback.book_early(captured))
    patiently(told.tell)
    if is_settled:
        outage.note_told_all()
        patiently(lambda: peers.note_alive(has_told=True))


def end_unwanted() -> None:
    """Give back what Redis holds for calls that were refused. One that it admits later still, out
    of its backlog, finds that it has ended.

    Raises RedisDownError; then it is tried again.
    """
    events = list(_unwanted)
    if not events:
        return
    pipeline = get_redis().pipeline(transaction=False)
    for event in events:
        keys = gate.HoldKeys.of(event)
        gate.conclude(keys, request_id=event.request_id, cost_nusd=0, tokens=0, client=pipeline)
    pipeline.execute()
    for _ in events:
        _unwanted.popleft()


def live() -> None:
    """Say so, now and then."""
    global _seen_at
    if time.monotonic() - _seen_at > peers.TELL_S:
        patiently(peers.note_alive)
        patiently(told.forget_old)
        _seen_at = time.monotonic()


def is_lost(hold: Hold) -> bool:
    """Whether the call must stop: to be asked before more of its answer is passed on.

    A process that stood still for longer than holds live does not know yet.
    """
    if not hold.lost and time.monotonic() - hold.renewed_at > settings.HOLD_TTL_S:
        # Once: where Redis does not answer, nobody takes holds for dead either.
        hold.renewed_at = time.monotonic()
        with suppress(*RedisDownError):
            _renew([hold])
    return hold.lost


def renew_all() -> None:
    """Renew every hold of this process in one round trip."""
    _renew(list(_holds.values()))


def _renew(holds: Sequence[Hold]) -> None:
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
            place=hold.place,
            client=pipeline,
        )
    for hold, alive in zip(holds, pipeline.execute(raise_on_error=False), strict=True):
        if isinstance(alive, RedisDownError):
            raise alive
        if isinstance(alive, Exception):
            logger.error("The hold of %s was not renewed: %s", hold.request_id, alive)
        elif alive:
            hold.renewed_at = time.monotonic()
        elif hold.request_id in _holds:
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


def look_at_redis() -> None:
    """Has it restarted, or been emptied?"""
    global _redis_run_id
    if not has_marks() and not patiently(recovery.is_new_redis):
        outage.enter("Redis has been emptied, or started anew")
        return
    run_id = get_redis().info("server")["run_id"]
    if _redis_run_id and run_id != _redis_run_id:
        logger.warning("Redis has restarted: repeating %d captures", len(_sent))
        repeat_captures()
    _redis_run_id = run_id


def repeat_captures() -> None:
    """Send what is not settled yet once more; captures that stand change nothing."""
    for hold in list(_sent):
        _capture(hold)


def forget_old_captures() -> None:
    """Those that the ledger has. While settlement stands still nobody has the others but Redis,
    which may lose them.

    Raises RedisDownError.
    """
    if not _sent or outage.is_on():
        return
    waiting_s = _waiting_s({hold.keys.outbox for hold in list(_sent)})
    # An outbox that has just been emptied with all the rest is not one that was settled.
    if not has_marks():
        return
    now = time.monotonic()
    for _ in range(len(_sent)):
        hold = _sent.popleft()
        if now - hold.ended_at < settings.CAPTURE_REPLAY_S + waiting_s.get(hold.keys.outbox, 0):
            _sent.append(hold)


def _waiting_s(outboxes: Iterable[str]) -> dict[str, float]:
    """How long the oldest event of each has been there; those that are empty are left out."""
    names = list(outboxes)
    pipeline = get_redis().pipeline(transaction=False)
    for name in names:
        pipeline.xrange(name, count=1)
    return {
        name: max(0.0, time.time() - moment_of(events[0][0]))
        for name, events in zip(names, pipeline.execute(), strict=True)
        if events
    }


_keeper = ProcessThread("live-holds", _keep)
outage.on_enter.append(start_keeper)
