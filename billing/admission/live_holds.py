"""The holds of this process: renewed while their calls run, captured when they end.

One background thread (a greenlet in a web worker) renews all holds every HOLD_RENEW_S with
their progress, and repeats the captures that are not settled yet when Redis has restarted, since
it may have lost what it had confirmed. While Redis is down it renews them in PostgreSQL, and tells
Redis when it is back.
"""

import logging
import threading
import time
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field

from django.conf import settings
from django.db import InterfaceError, OperationalError, connection
from redis import exceptions

from agentflare.background import ProcessThread
from agentflare.connections import patiently
from agentflare.redis_store import RedisDownError, get_redis, moment_of, unanswered
from billing.admission import fallback, gate, outage, peers, recent, recovery, told
from billing.admission.late_captures import take_in_spool
from billing.admission.marks import has_marks, look, marked
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

    @property
    def part(self) -> int:
        """Of the gate."""
        return outage.part_of(self.event.tenant_code)


_holds: dict[str, Hold] = {}
# Captures that Redis has, and the ledger perhaps not yet.
_sent: deque[Hold] = deque(maxlen=10_000)
# Asked for while Redis did not answer, and refused then: it may hold them all the same.
_unwanted: deque[UsageEvent] = deque(maxlen=10_000)
# By part of the gate.
_redis_run_ids: dict[int, str] = {}
_seen_at = 0.0
# While Redis is down: how often it is asked, and PostgreSQL told how far our calls are.
_OUTAGE_TICK_S = 1.0
# Whoever takes it knows that the keeper is between two rounds.
at_work = threading.Lock()


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
    global _seen_at
    _holds.clear()
    _sent.clear()
    _unwanted.clear()
    recent.forget_all()
    _redis_run_ids.clear()
    _seen_at = 0.0


def unsettled_captures(parts: Iterable[int] = (outage.WHOLE,)) -> list[UsageEvent]:
    """What is lost with those parts of Redis if this process is lost too."""
    wanted = set(parts)
    return [hold.event for hold in list(_sent) if hold.part in wanted]


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
    global at_work
    at_work = threading.Lock()  # a fork may have come in the middle
    while True:
        outage.woken.wait(_OUTAGE_TICK_S if outage.parts_on() else settings.HOLD_RENEW_S)
        outage.woken.clear()
        with at_work:
            _do_all()
        # A thread keeps its connection, and the pool has few.
        connection.close()


def _do_all() -> None:
    # Each by itself: whatever goes wrong in one, the holds must be renewed.
    in_order = (renew_all, look_at_redis, end_unwanted, live)
    duties: list[Callable[[], object]] = [live_without_redis] if outage.parts_on() else []
    if len(outage.parts_on()) < len(outage.parts()):
        duties += in_order
    for duty in (*duties, forget_old_captures, recent.forget_old, take_in_spool):
        _do(duty)


def _do(duty: Callable[[], object]) -> None:
    try:
        duty()
    except RedisDownError as exc:
        _enter_where_silent(exc)
    except (OperationalError, InterfaceError) as exc:
        logger.warning("PostgreSQL is down: %s (%s)", duty.__name__, exc)
    except Exception:
        logger.exception("%s failed", duty.__name__)


def _enter_where_silent(reason: object) -> None:
    asked = _asked_by({part for part in outage.parts() if not outage.is_on(part)})
    for key in unanswered(asked):
        outage.enter(reason, asked[key])


def _asked_by(parts: Iterable[int]) -> dict[str, int]:
    """A key by which it is seen whether a part of the gate answers."""
    return {gate.mark_key(outage.partitions_of(part)[0]): part for part in parts}


def live_without_redis() -> None:
    """Tell PostgreSQL what our calls hold; tell Redis all when it is back.

    Raises OperationalError, RedisDownError.
    """
    parts = outage.parts_on()
    asked = _asked_by(parts)
    back = sorted(set(parts) - {asked[key] for key in unanswered(asked)})
    over, fault = [], None
    try:
        _tell_postgresql(parts, back=back)
        for part in back:
            try:
                if patiently(lambda part=part: recovery.recover(part)):  # type: ignore[misc]
                    over.append(part)
            except RedisDownError as exc:
                fault = exc
    except (OperationalError, InterfaceError):
        # Where PostgreSQL knows nothing of it, Redis has missed nothing.
        over = [part for part in back if not outage.is_told(part) and has_marks(part)]
        if not over:
            raise
    for part in over:
        outage.leave(part)
    if over:
        renew_all()
        repeat_captures(over)
    if fault:
        raise fault


def _tell_postgresql(parts: Sequence[int], *, back: Sequence[int]) -> None:
    """The holds of our calls at each tick; once, what Redis has captured last."""
    if opened := [part for part in parts if part not in back or not outage.is_told(part)]:
        patiently(lambda: fallback.open_outage(*opened))
    # Before that a call may still get its hold, or its capture, from Redis.
    settled = [part for part in parts if outage.is_settled(part)]
    holds = [hold for hold in list(_holds.values()) if hold.part in parts]
    running = [(_event_so_far(hold), hold.place) for hold in holds]
    patiently(lambda: fallback.carry_over(running))
    if untold := [part for part in parts if not outage.has_told_all(part)]:
        captured = unsettled_captures(untold)
        patiently(lambda: fallback.book_early(captured))
    for part in parts:
        patiently(lambda part=part: told.tell(part))  # type: ignore[misc]
    if settled:
        for part in settled:
            outage.note_told_all(part)
        patiently(lambda: peers.note_alive(told=settled))


def end_unwanted() -> None:
    """Give back what Redis holds for calls that were refused. One that it admits later still, out
    of its backlog, finds that it has ended.

    Raises RedisDownError; then it is tried again.
    """
    events: list[UsageEvent] = []
    later: list[UsageEvent] = []
    for event in [_unwanted.popleft() for _ in range(len(_unwanted))]:
        is_away = outage.is_on(outage.part_of(event.tenant_code))
        (later if is_away else events).append(event)
    _unwanted.extend(later)
    if not events:
        return
    pipeline = get_redis().pipeline(transaction=False)
    for event in events:
        keys = gate.HoldKeys.of(event)
        gate.conclude(keys, request_id=event.request_id, cost_nusd=0, tokens=0, client=pipeline)
    try:
        pipeline.execute()
    except RedisDownError:
        _unwanted.extend(events)
        raise


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
    """Renew every hold of this process in one round trip; of a cluster, one for each node."""
    _renew([hold for hold in list(_holds.values()) if not outage.is_on(hold.part)])


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
    fault = None
    for hold, alive in zip(holds, pipeline.execute(raise_on_error=False), strict=True):
        if isinstance(alive, RedisDownError):
            fault = alive
        elif isinstance(alive, Exception):
            logger.error("The hold of %s was not renewed: %s", hold.request_id, alive)
        elif alive:
            hold.renewed_at = time.monotonic()
        elif hold.request_id in _holds:
            logger.error("The hold of %s was taken for dead", hold.request_id)
            hold.lost = True
            remove(hold)
    if fault:
        raise fault


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
    parts = [part for part in outage.parts() if not outage.is_on(part)]
    for part, is_marked in marked(parts).items():
        if not is_marked and not patiently(lambda part=part: recovery.is_new_redis(part)):  # type: ignore[misc]
            outage.enter("Redis has been emptied, or started anew", part)
    parts = [part for part in parts if not outage.is_on(part)]
    looks = look(parts) if parts else {}
    known = _redis_run_ids.copy()
    others = [part for part, each in looks.items() if known.get(part, each.run) != each.run]
    if others:
        logger.warning("Redis has restarted, or has moved: repeating captures")
        repeat_captures(others)
    _redis_run_ids.update({part: each.run for part, each in looks.items()})
    if len(looks) < len(parts):
        raise exceptions.ConnectionError("A node of the cluster does not answer.")


def repeat_captures(parts: Iterable[int] = (outage.WHOLE,)) -> None:
    """Send what is not settled yet once more; captures that stand change nothing."""
    wanted = set(parts)
    for hold in list(_sent):
        if hold.part in wanted:
            _capture(hold)


def forget_old_captures() -> None:
    """Those that the ledger has. While settlement stands still nobody has the others but Redis,
    which may lose them.

    Raises RedisDownError.
    """
    parts = {hold.part for hold in list(_sent)} - set(outage.parts_on())
    if not parts:
        return
    waiting_s = _waiting_s({hold.keys.outbox for hold in list(_sent) if hold.part in parts})
    # An outbox that has just been emptied with all the rest is not one that was settled.
    sound = {part for part, is_marked in marked(parts).items() if is_marked}
    now = time.monotonic()
    for _ in range(len(_sent)):
        hold = _sent.popleft()
        kept_s = settings.CAPTURE_REPLAY_S + waiting_s.get(hold.keys.outbox, 0)
        if hold.part not in sound or now - hold.ended_at < kept_s:
            _sent.append(hold)


def _waiting_s(outboxes: Iterable[str]) -> dict[str, float]:
    """How long the oldest event of each has been there; those that are empty are left out.

    Raises RedisDownError.
    """
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
