"""The processes that admit at one gate, and whether each has told what its calls hold.

In an outage PostgreSQL knows of a running call only what the call's process tells it. As long as
one that was alive a moment ago is silent, credit may be held that nobody else knows of. All
moments are of PostgreSQL's clock.
"""

import os
import uuid
from collections.abc import Iterable
from typing import Any

from django.conf import settings
from django.db import connection

from billing.admission import outage

# How often a process says that it lives; one that has missed it for so long has ended.
TELL_S = 30
_ALIVE_S = 90

_SEEN = """
INSERT INTO admission_gateprocess AS process (name, redis, seen_at, told_at)
SELECT %(own)s || '@' || redis, redis, clock_timestamp(),
       CASE WHEN %(told)s THEN clock_timestamp() END
  FROM unnest(%(gates)s::text[]) AS gate (redis)
ON CONFLICT (name) DO UPDATE
   SET seen_at = excluded.seen_at, told_at = coalesce(excluded.told_at, process.told_at)
"""
# Twice as long: an outage's first seconds must find who was alive when it began.
_FORGET_ENDED = """
DELETE FROM admission_gateprocess
 WHERE redis = ANY(%(all)s) AND seen_at < clock_timestamp() - 2 * make_interval(secs => %(alive)s)
"""
# Of one part of a cluster's gate a process says in another row that it has told all.
_SILENT = """
SELECT count(*) FROM admission_gateprocess process
  JOIN admission_gatestanding standing ON standing.redis = %(part)s
 WHERE process.redis = %(redis)s AND process.name <> %(but)s
   AND process.seen_at > down_since - make_interval(secs => %(alive)s)
   AND NOT EXISTS (SELECT FROM admission_gateprocess told
                    WHERE told.redis = %(part)s AND told.told_at >= down_since
                      AND split_part(told.name, '@', 1) = split_part(process.name, '@', 1))
"""
_OPEN = """
INSERT INTO admission_gatestanding AS standing (redis, down_since)
SELECT unnest(%s::text[]), clock_timestamp()
ON CONFLICT (redis) DO UPDATE
   SET down_since = coalesce(standing.down_since, clock_timestamp())
"""
_own: tuple[int, str] = (0, "")


def note_down(parts: Iterable[int] = (outage.WHOLE,)) -> None:
    """An outage begins, for all processes, if there is none. Repeats change nothing."""
    with connection.cursor() as cursor:
        cursor.execute(_OPEN, [[outage.redis_name(part) for part in parts]])


def note_alive(*, told: Iterable[int] = ()) -> None:
    """This process may hold credit. told: the parts of which PostgreSQL knows all of it."""
    gate = outage.gate_name()
    parts = [outage.redis_name(part) for part in told]
    facts: dict[str, Any] = {"own": _own_id(), "alive": _ALIVE_S, "all": [gate, *parts]}
    with connection.cursor() as cursor:
        if gate not in parts:
            cursor.execute(_SEEN, {**facts, "gates": [gate], "told": False})
        if parts:
            cursor.execute(_SEEN, {**facts, "gates": parts, "told": True})
        cursor.execute(_FORGET_ENDED, facts)


def all_have_told(*, down_for_s: float, part: int = outage.WHOLE) -> bool:
    """Whether all that is held is known.

    Not at first: some have not noticed yet, and one may not have been able to say that it
    lives. And without waiting for those that have died: nobody renews their holds.
    """
    if down_for_s < settings.FALLBACK_GRACE_S:
        return False
    if down_for_s >= settings.FALLBACK_GRACE_S + settings.HOLD_TTL_S:
        return True
    return _silent(part) == 0


def others_are_silent(part: int = outage.WHOLE) -> bool:
    """Whether another living process has not told."""
    return _silent(part, but=own_name()) > 0


def _silent(part: int, *, but: str = "") -> int:
    facts: dict[str, str | int] = {
        "redis": outage.gate_name(),
        "part": outage.redis_name(part),
        "alive": _ALIVE_S,
        "but": but,
    }
    with connection.cursor() as cursor:
        cursor.execute(_SILENT, facts)
        (silent,) = cursor.fetchone()
    return int(silent)


def own_name() -> str:
    """Of this process at this gate."""
    return f"{_own_id()}@{outage.gate_name()}"


def _own_id() -> str:
    """A forked process is another."""
    global _own
    if _own[0] != os.getpid():
        _own = os.getpid(), uuid.uuid4().hex
    return _own[1]
