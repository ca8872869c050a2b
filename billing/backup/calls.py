"""Calls that the ledger has not booked: they stand in Redis or in a spool, and are backed up too.

They are read before the database's snapshot is taken, each place before the one that it moves its
calls to: spool, holds, outbox, dead letters, ledger. So a call that had ended when the backup began
is in the copy, in the dump, or in both, where booking it again changes nothing; never in neither.
"""

import json
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass
from enum import StrEnum
from pathlib import Path

from agentflare.partitions import PARTITIONS, partition_of
from agentflare.redis_store import get_redis
from billing.admission import gate
from billing.admission.gate import HoldKeys
from billing.backup.errors import BackupError
from billing.settlement.dead_letters import key_of
from billing.spool.files import waiting
from billing.usage.events import UsageEvent

_AT_ONCE = 500


class State(StrEnum):
    CAPTURED = "captured"
    # Its hold's progress: what it had delivered when it last said so.
    RUNNING = "running"


@dataclass(frozen=True, slots=True)
class Call:
    """event: as in the outbox, or in the hold."""

    state: State
    tenant: str
    event: str


@dataclass(frozen=True, slots=True)
class PutBack:
    """unreadable: events that nobody could book where they come from either."""

    captured: int = 0
    running: int = 0
    unreadable: int = 0


def pending_calls(*, tenant_code: str | None = None) -> list[Call]:
    """Of all tenants, or of one. A call may be in it twice. Raises RedisDownError."""
    found = [Call(State.CAPTURED, event.tenant_code, event.dumps()) for event in waiting()]
    partitions = range(PARTITIONS) if tenant_code is None else [partition_of(tenant_code)]
    for partition in partitions:
        found += _running(partition)
        # An operator may send a dead letter back while we read.
        for stream in (gate.outbox_key, key_of, gate.outbox_key):
            found += [
                Call(State.CAPTURED, fields.get("tenant", ""), fields.get("event", ""))
                for _, fields in get_redis().xrange(stream(partition))
            ]
    mine = [call for call in found if tenant_code in (None, call.tenant)]
    return list(dict.fromkeys(mine))


def _running(partition: int) -> Iterator[Call]:
    redis = get_redis()
    request_ids = redis.zrange(gate.holds_key(partition), 0, -1)
    for at in range(0, len(request_ids), _AT_ONCE):
        pipeline = redis.pipeline(transaction=False)
        for request_id in request_ids[at : at + _AT_ONCE]:
            pipeline.hmget(gate.hold_key(partition, request_id), "tenant", "event", "returns")
        for tenant_code, event, returns in pipeline.execute():
            # One that returns is for no call: it goes back whole.
            if tenant_code and event and not returns:
                yield Call(State.RUNNING, tenant_code, event)


def write_calls(path: Path, calls: Iterable[Call]) -> None:
    with path.open("w", encoding="utf-8") as file:
        for call in calls:
            file.write(json.dumps(asdict(call)) + "\n")


def read_calls(path: Path) -> list[Call]:
    """Raises BackupError."""
    try:
        return parse_calls(path.read_bytes(), name=str(path))
    except OSError as exc:
        raise BackupError(f"{path} cannot be read: {exc.strerror}") from None


def parse_calls(content: bytes, *, name: str) -> list[Call]:
    """Raises BackupError."""
    try:
        rows = [json.loads(line) for line in content.splitlines()]
        return [Call(State(row["state"]), row["tenant"], row["event"]) for row in rows]
    except (ValueError, KeyError, TypeError):
        raise BackupError(f"{name} is no list of calls.") from None


def put_back(calls: Iterable[Call]) -> PutBack:
    """Into the outbox, from where they are booked once. Repeats change nothing.

    A call that ran is captured for its progress, as that of a process that has died; unless it is
    still held here. Raises RedisDownError.
    """
    captured, running, unreadable = dict[str, UsageEvent](), dict[str, UsageEvent](), 0
    for call in calls:
        try:
            event = UsageEvent.loads(call.event)
        except (TypeError, ValueError):
            unreadable += 1
            continue
        (captured if call.state is State.CAPTURED else running)[event.request_id] = event
    for event in captured.values():
        gate.capture_event(event)
    lost = [
        event
        for request_id, event in running.items()
        if request_id not in captured and not get_redis().exists(HoldKeys.of(event).hold)
    ]
    for event in lost:
        gate.capture_event(event)
    return PutBack(len(captured), len(lost), unreadable)
