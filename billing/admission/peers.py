"""The processes that admit at one gate, and whether each has told what its calls hold.

In an outage PostgreSQL knows of a running call only what the call's process tells it. As long as
one that was alive a moment ago is silent, credit may be held that nobody else knows of. All
moments are of PostgreSQL's clock.
"""

import os
import uuid

from django.conf import settings
from django.db import connection

from billing.admission import outage

# How often a process says that it lives; one that has missed it for so long has ended.
TELL_S = 30
_ALIVE_S = 90

_SEEN = """
INSERT INTO admission_gateprocess AS process (name, redis, seen_at, told_at)
VALUES (%(name)s, %(redis)s, clock_timestamp(),
        CASE WHEN %(told)s THEN clock_timestamp() END)
ON CONFLICT (name) DO UPDATE
   SET seen_at = excluded.seen_at, told_at = coalesce(excluded.told_at, process.told_at)
"""
# Twice as long: an outage's first seconds must find who was alive when it began.
_FORGET_ENDED = """
DELETE FROM admission_gateprocess
 WHERE redis = %(redis)s AND seen_at < clock_timestamp() - 2 * make_interval(secs => %(alive)s)
"""
_SILENT = """
SELECT count(*) FROM admission_gateprocess process
  JOIN admission_gatestanding standing USING (redis)
 WHERE redis = %(redis)s AND seen_at > down_since - make_interval(secs => %(alive)s)
   AND (told_at IS NULL OR told_at < down_since) AND name <> %(but)s
"""
_OPEN = """
INSERT INTO admission_gatestanding AS standing (redis, down_since) VALUES (%s, clock_timestamp())
ON CONFLICT (redis) DO UPDATE
   SET down_since = coalesce(standing.down_since, clock_timestamp())
"""
_own: tuple[int, str] = (0, "")


def note_down() -> None:
    """An outage begins, for all processes, if there is none. Repeats change nothing."""
    with connection.cursor() as cursor:
        cursor.execute(_OPEN, [outage.redis_name()])


def note_alive(*, has_told: bool = False) -> None:
    """This process may hold credit. has_told: PostgreSQL knows of all of it."""
    facts: dict[str, str | int] = {
        "name": own_name(),
        "redis": outage.redis_name(),
        "told": has_told,
        "alive": _ALIVE_S,
    }
    with connection.cursor() as cursor:
        cursor.execute(_SEEN, facts)
        cursor.execute(_FORGET_ENDED, facts)


def all_have_told(*, down_for_s: float) -> bool:
    """Whether all that is held is known.

    Not at first: some have not noticed yet, and one may not have been able to say that it
    lives. And without waiting for those that have died: nobody renews their holds.
    """
    if down_for_s < settings.FALLBACK_GRACE_S:
        return False
    if down_for_s >= settings.FALLBACK_GRACE_S + settings.HOLD_TTL_S:
        return True
    return _silent() == 0


def others_are_silent() -> bool:
    """Whether another living process has not told."""
    return _silent(but=own_name()) > 0


def _silent(*, but: str = "") -> int:
    with connection.cursor() as cursor:
        facts: dict[str, str | int] = {"redis": outage.redis_name(), "alive": _ALIVE_S, "but": but}
        cursor.execute(_SILENT, facts)
        (silent,) = cursor.fetchone()
    return int(silent)


def own_name() -> str:
    """Of this process at this gate; a forked process is another."""
    global _own
    if _own[0] != os.getpid():
        _own = os.getpid(), uuid.uuid4().hex
    return f"{_own[1]}@{outage.redis_name()}"
