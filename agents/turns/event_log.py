"""The events of a turn, numbered, in a Redis Stream: whoever reads goes on where it stopped.

`{pNN}:turn:<id>:events` has an entry for each event, under its number (and one, since no entry may
have 0). They are written by one thread of the process that makes them, what is there of all its
turns at once, and stay for TURN_EVENTS_S after the last one. An entry that Redis has already is not
written again, so that what was not confirmed is sent once more.
"""

import logging
import threading
import time
from collections import deque
from collections.abc import Iterator
from enum import StrEnum
from itertools import islice
from typing import Any, NamedTuple
from uuid import UUID

import orjson
from django.conf import settings
from redis import exceptions

from agentflare.background import ProcessThread
from agentflare.partitions import tenant_key
from agentflare.redis_store import RedisDownError, get_redis

logger = logging.getLogger(__name__)
# Of entries in one answer, and in one pipeline.
_PAGE = 256
# A reader in another process than the writer looks again after so long: short while much comes.
_SHORT_WAIT_S, _LONG_WAIT_S = 0.03, 0.25
_THERE_ALREADY = "equal or smaller"


class Ends(StrEnum):
    """What ends with an event: nothing, its stream for now, or all."""

    NOTHING = ""
    PAUSE = "pause"
    ALL = "all"


class Entry(NamedTuple):
    """body: the event as JSON."""

    number: int
    body: str
    ends: Ends


class EventLog:
    """The writer's side, of one turn. last_number: of the event before, of a turn that goes on."""

    def __init__(self, tenant_code: str, turn_id: UUID, *, last_number: int = -1) -> None:
        self.key = log_key(tenant_code, turn_id)
        self._pending: deque[Entry] = deque()
        # The newest of those that are in Redis: readers in this process need not ask for them.
        self._newest: deque[Entry] = deque(maxlen=_PAGE)
        self._written = threading.Condition()
        self._ends = Ends.NOTHING
        self.last_number = last_number

    def append(self, number: int, event: dict[str, Any], *, ends: Ends = Ends.NOTHING) -> None:
        """Returns at once; in Redis a moment later."""
        self._pending.append(Entry(number, orjson.dumps(event).decode(), ends))
        _writer.wake(self)

    def after(self, number: int) -> list[Entry] | None:
        """Those after a number that are in Redis; None: not all of them are remembered here."""
        with self._written:
            if number >= self.last_number:
                return []
            if not self._newest or self._newest[0].number > number + 1:
                return None
            return list(islice(self._newest, number + 1 - self._newest[0].number, None))

    def has_ended(self, number: int) -> bool:
        """Whether nothing will ever follow the event of this number."""
        return self._ends is Ends.ALL and number >= self.last_number

    def wait(self, after: int, timeout_s: float) -> None:
        """Until there is more than that in Redis, or for so long."""
        with self._written:
            if self.last_number <= after:
                self._written.wait(timeout_s)

    def wait_until_written(self, timeout_s: float) -> bool:
        deadline = time.monotonic() + timeout_s
        with self._written:
            while self._pending and (left := deadline - time.monotonic()) > 0:
                self._written.wait(left)
        return not self._pending

    # --- the writer's thread ------------------------------------------------------

    def take(self) -> list[Entry]:
        return [self._pending[n] for n in range(min(len(self._pending), _PAGE))]

    def note_written(self, entries: list[Entry]) -> None:
        with self._written:
            for entry in entries:
                self._pending.popleft()
                self._newest.append(entry)
                self.last_number = entry.number
                self._ends = entry.ends
            self._written.notify_all()

    @property
    def is_done(self) -> bool:
        return not self._pending


class _Writer:
    """Writes for all turns of this process: what has come while one write was under way goes with
    the next."""

    def __init__(self) -> None:
        self._waiting: dict[int, EventLog] = {}
        self._has_some = threading.Event()
        self._thread = ProcessThread("turn-events", self._run)

    def wake(self, log: EventLog) -> None:
        self._waiting[id(log)] = log
        self._has_some.set()
        self._thread.start()

    def _run(self) -> None:
        while True:
            self._has_some.wait()
            self._has_some.clear()
            logs = list(self._waiting.values())
            try:
                self._write(logs)
            except RedisDownError:
                # They stay, in order, until it is back.
                time.sleep(0.2)
            except Exception:  # a thread that must go on
                logger.exception("Events of turns cannot be written")
                time.sleep(1)
            for log in logs:
                if log.is_done:
                    self._waiting.pop(id(log), None)
            if self._waiting:
                self._has_some.set()

    def _write(self, logs: list[EventLog]) -> None:
        """What a node of a cluster does not take keeps back its own turns alone."""
        pipeline, taken = get_redis().pipeline(transaction=False), []
        for log in logs:
            begin, entries = len(pipeline), log.take()
            for entry in entries:
                add_entry(pipeline, log.key, entry)
            taken.append((log, entries, slice(begin, len(pipeline))))
        if not any(entries for _, entries, _ in taken):
            return
        answers, fault = pipeline.execute(raise_on_error=False), None
        for log, entries, own in taken:
            if faults := [answer for answer in answers[own] if _is_fault(answer)]:
                fault = faults[0]
            else:
                log.note_written(entries)
        if fault:
            raise fault


def _is_fault(answer: object) -> bool:
    is_there = isinstance(answer, exceptions.ResponseError) and _THERE_ALREADY in str(answer)
    return isinstance(answer, Exception) and not is_there


_writer = _Writer()
# Of the turns that this process works at: their readers here need not ask Redis again and again.
logs: dict[UUID, EventLog] = {}


def add_entry(pipeline: Any, key: str, entry: Entry) -> None:
    """And how long they are all kept from now on."""
    fields = {"e": entry.body, "ends": entry.ends.value} if entry.ends else {"e": entry.body}
    pipeline.xadd(key, fields, id=f"{entry.number + 1}-0")
    if entry.number % _PAGE == 0 or entry.ends:
        is_over = entry.ends is Ends.ALL
        pipeline.expire(key, settings.TURN_EVENTS_S if is_over else settings.TURN_MOST_S)


def log_key(tenant_code: str, turn_id: UUID) -> str:
    return tenant_key(tenant_code, f"turn:{turn_id.hex}:events")


def entries_after(tenant_code: str, turn_id: UUID, number: int) -> list[Entry]:
    """Those that are there, the oldest first, a page of them. Raises RedisDownError."""
    found = get_redis().xrange(log_key(tenant_code, turn_id), min=f"({number + 1}-0", count=_PAGE)
    return [_entry(entry_id, fields) for entry_id, fields in found]


def is_kept(tenant_code: str, turn_id: UUID) -> bool:
    return bool(get_redis().exists(log_key(tenant_code, turn_id)))


def follow(tenant_code: str, turn_id: UUID, *, after: int = -1) -> Iterator[list[Entry]]:
    """All that comes after a number, until the last one; an empty list where nothing has come for
    a while, so that the caller may look whether anybody still writes.

    Who has seen the last one of all gets nothing, at once.

    Raises RedisDownError.
    """
    wait_s = _SHORT_WAIT_S
    log: EventLog | None = None
    while True:
        log = logs.get(turn_id) or log
        if entries := _read(log, tenant_code, turn_id, after):
            wait_s = _SHORT_WAIT_S
            after = entries[-1].number
            yield entries
            last = entries[-1]
            # A turn that has paused may have gone on: what follows stands behind it.
            if last.ends is Ends.ALL:
                return
            if last.ends is Ends.PAUSE and not _read(log, tenant_code, turn_id, after):
                return
            continue
        if _has_ended(log, tenant_code, turn_id, after):
            return
        if log is not None:
            log.wait(after, _LONG_WAIT_S * 4)
            if log.last_number > after:
                continue
        else:
            time.sleep(wait_s)
            wait_s = min(wait_s * 1.5, _LONG_WAIT_S)
        yield []


def _has_ended(log: EventLog | None, tenant_code: str, turn_id: UUID, after: int) -> bool:
    """Whether a reader has seen the last event of all before it asked."""
    if log is not None:
        return log.has_ended(after)
    newest = get_redis().xrevrange(log_key(tenant_code, turn_id), count=1)
    entry = _entry(*newest[0]) if newest else None
    return entry is not None and entry.ends is Ends.ALL and entry.number <= after


def _entry(entry_id: str, fields: dict[str, str]) -> Entry:
    return Entry(int(entry_id.partition("-")[0]) - 1, fields["e"], Ends(fields.get("ends", "")))


def _read(log: EventLog | None, tenant_code: str, turn_id: UUID, after: int) -> list[Entry]:
    """log: where this process works at the turn, or did while it was read here."""
    entries = None if log is None else log.after(after)
    return entries_after(tenant_code, turn_id, after) if entries is None else entries
