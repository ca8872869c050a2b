"""Whether Redis is as we left it: a mark in each partition, with the run that was told all.

A Redis that was flushed, or starts empty, has no marks. One that starts with data has those of
an earlier run: its data may be of earlier too (a copy put back, a replica that lagged, the last
second lost). Neither admits before it has been told what it may have missed: see recovery.

In a cluster a partition may also move to another node, with all that it has: its mark names the
run that it comes from, and is renewed where that one still has slots, so has not been lost.
"""

from collections.abc import Iterable
from dataclasses import dataclass

from django.conf import settings

from agentflare.partitions import PARTITIONS
from agentflare.redis_cluster import Cluster
from agentflare.redis_store import RedisDownError, get_redis
from billing.admission import gate, outage


@dataclass(frozen=True, slots=True)
class Look:
    """At the server of a part: its run, how long that is, its clock; and the mark it has."""

    run: str
    mark: str
    uptime_s: int
    now_ms: int


def look(parts: Iterable[int]) -> dict[int, Look]:
    """By part; those of a cluster that do not answer are left out. Raises RedisDownError where
    none does."""
    parts = list(parts)
    pipeline = get_redis().pipeline(transaction=False)
    for part in parts:
        partition = outage.partitions_of(part)[0]
        gate.script("look")(keys=[gate.mark_key(partition)], client=pipeline)
    looks, fault = {}, None
    for part, answer in zip(parts, pipeline.execute(raise_on_error=False), strict=True):
        if isinstance(answer, RedisDownError):
            fault = answer
        elif isinstance(answer, Exception):
            raise answer
        else:
            run, mark, uptime_s, now_ms = answer
            looks[part] = Look(run, mark, int(uptime_s), int(now_ms))
    if fault and not looks:
        raise fault
    return looks


def has_marks(part: int = outage.WHOLE) -> bool:
    """Raises RedisDownError."""
    (found,) = marked([part]).values()
    return found


def marked(parts: Iterable[int]) -> dict[int, bool]:
    """As `look`, whether each is as we left it."""
    looks = look(parts)
    if not isinstance(get_redis(), Cluster):
        return {part: each.mark == each.run and _all_are(each.run) for part, each in looks.items()}
    return {part: each.mark == each.run or _came_whole(part, each) for part, each in looks.items()}


def _all_are(run: str) -> bool:
    """Of one server."""
    pipeline = get_redis().pipeline(transaction=False)
    for partition in range(PARTITIONS):
        pipeline.get(gate.mark_key(partition))
    return set(pipeline.execute()) == {run}


def _came_whole(part: int, found: Look) -> bool:
    """Whether the partition was moved here, and not lost.

    Where it was must be a master still, as this node sees it: one whose place another took may
    have confirmed what that one does not know. And this node must not have just started: it may
    have forgotten its last second since.
    """
    if not found.mark or found.uptime_s < settings.HOLD_TTL_S:
        return False
    key = gate.mark_key(part)
    if found.mark not in get_redis().runs_beside(key):
        return False
    return bool(gate.script("take_over_mark")(keys=[key], args=[found.mark]))


def set_marks(part: int | None = None) -> None:
    """part: None: of all. Raises RedisDownError."""
    parts = outage.parts() if part is None else (part,)
    pipeline = get_redis().pipeline(transaction=False)
    for partition in (each for part in parts for each in outage.partitions_of(part)):
        gate.script("set_mark")(keys=[gate.mark_key(partition)], client=pipeline)
    pipeline.execute()
