"""How upstreams do, for the operator: counted in each process, told to Redis every second.

By minute and account: attempts by kind of work, how they ended, how long they took; and, by
process, what runs and whom its breakers leave alone. Redis forgets it after a quarter of an hour.
Calls never wait for any of this; while Redis is down nothing is told.
"""

import logging
import os
import socket
import time
from bisect import bisect_left
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field

import orjson

from agentflare.background import ProcessThread
from agentflare.redis_store import RedisDownError, get_redis
from inference.upstreams.accounts import Account
from inference.upstreams.breakers import breakers
from inference.upstreams.failures import UpstreamCallError

logger = logging.getLogger(__name__)
MINUTES = 10
_TICK_S = 1.0
_KEPT_S = 15 * 60
# A process that says nothing for so long is gone.
_SILENT_S = 10
_PROCESSES = "upstream_processes"
_LONGEST_ERROR = 200
# Upper bounds of what is counted as one, in ms; above the last there is one more.
_BOUNDS_MS = (50, 100, 200, 400, 800, 1_500, 3_000, 6_000, 12_000, 30_000, 60_000)

# Account → field → count, since they were told last.
_counts: dict[str, Counter[str]] = {}
_last_errors: dict[str, bytes] = {}
_running: Callable[[], Counter[str]] = Counter
# What else is done each second.
on_tick: list[Callable[[], None]] = []


@dataclass(frozen=True, slots=True)
class LastError:
    """code: upstream's own; 0: none. detail: its words, without secrets and prompts."""

    at: float
    code: int
    detail: str
    ai_model: str


@dataclass(frozen=True, slots=True)
class ClosedTarget:
    """Whom a process leaves alone. what: "account", a kind of work, or an AI model; tenant: for
    whose calls alone. until: seconds since 1970."""

    account: str
    scope: str
    what: str
    tenant: str
    failures: int
    until: float


@dataclass(slots=True)
class AccountHealth:
    """Of the last MINUTES minutes, this one among them.

    by_kind: kind of work → attempts in the busiest whole or running minute. failures: by what the
    client was told. p50_ms, p95_ms: bounds that so many answers kept; None of none.
    """

    attempts: int = 0
    failed: int = 0
    by_kind: Counter[str] = field(default_factory=Counter)
    by_minute: list[int] = field(default_factory=list)
    failures: Counter[str] = field(default_factory=Counter)
    p50_ms: int | None = None
    p95_ms: int | None = None
    running: int = 0
    closed: list[ClosedTarget] = field(default_factory=list)
    last_error: LastError | None = None

    @property
    def failed_by(self) -> list[tuple[str, int]]:
        """For templates: the most frequent first."""
        return self.failures.most_common()

    @property
    def failed_percent(self) -> float | None:
        return 100 * self.failed / self.attempts if self.attempts else None


# --- counting: on the path of every call ----------------------------------------------


def tell_running(source: Callable[[], Counter[str]]) -> None:
    """source: account → calls of this process that run there. Once, when the process starts."""
    global _running
    _running = source


def note_success(account: Account, *, kind: str, took_ms: float) -> None:
    counts = _of(account)
    counts[f"kind:{kind}"] += 1
    counts[f"took:{bisect_left(_BOUNDS_MS, took_ms)}"] += 1


def note_failure(account: Account, failure: UpstreamCallError, *, kind: str, model: str) -> None:
    """kind: empty for an attempt that was noted before."""
    counts = _of(account)
    if kind:
        counts[f"kind:{kind}"] += 1
    counts[f"failed:{failure.error.code or failure.error.type}"] += 1
    _last_errors[account.name] = orjson.dumps(
        [time.time(), failure.code, failure.log_line[:_LONGEST_ERROR], model]
    )


def _of(account: Account) -> Counter[str]:
    _teller.start()
    found = _counts.get(account.name)
    if found is None:
        found = _counts.setdefault(account.name, Counter())
    return found


# --- telling: a thread of each process ------------------------------------------------


def _tell_on() -> None:
    while True:
        time.sleep(_TICK_S)
        for duty in (tell, *on_tick):
            try:
                duty()
            except RedisDownError:
                continue
            except Exception:
                logger.exception("%s failed", duty.__name__)


_teller = ProcessThread("upstream-watch", _tell_on)


def tell() -> None:
    """Add what was counted to what Redis has. Raises RedisDownError; then that is lost."""
    minute, pipeline = int(time.time() // 60), get_redis().pipeline(transaction=False)
    for name in list(_counts):
        counts = _counts.pop(name)
        for what, number in counts.items():
            pipeline.hincrby(_minute_key(name, minute), what, number)
        pipeline.expire(_minute_key(name, minute), _KEPT_S)
    while _last_errors:
        name, error = _last_errors.popitem()
        pipeline.set(f"upstream_error:{name}", error, ex=_KEPT_S)
    me = f"{socket.gethostname()}:{os.getpid()}"
    closed = [[*row] for row in breakers.closed_targets()]
    state = orjson.dumps([dict(_running()), closed])
    pipeline.set(f"upstream_process:{me}", state, ex=_SILENT_S)
    pipeline.zadd(_PROCESSES, {me: time.time()})
    pipeline.zremrangebyscore(_PROCESSES, "-inf", time.time() - _SILENT_S)
    pipeline.execute()


def _minute_key(name: str, minute: int) -> str:
    return f"upstream_minute:{name}:{minute}"


# --- reading: pages and metrics -------------------------------------------------------


def health_of(names: Iterable[str]) -> dict[str, AccountHealth]:
    """By account, of all processes. Raises RedisDownError."""
    names, minute = list(names), int(time.time() // 60)
    minutes = range(minute - MINUTES + 1, minute + 1)
    pipeline = get_redis().pipeline(transaction=False)
    for name in names:
        pipeline.get(f"upstream_error:{name}")
        for each in minutes:
            pipeline.hgetall(_minute_key(name, each))
    pipeline.zrangebyscore(_PROCESSES, time.time() - _SILENT_S, "+inf")
    *answers, processes = pipeline.execute()
    size = MINUTES + 1
    found = {
        name: _health(answers[at * size], answers[at * size + 1 : (at + 1) * size])
        for at, name in enumerate(names)
    }
    _add_processes(found, processes)
    return found


def _health(error: str | None, minutes: Sequence[dict[str, str]]) -> AccountHealth:
    health, took = AccountHealth(), Counter[int]()
    for fields in minutes:
        attempts = 0
        for name, text in fields.items():
            what, _, of = name.partition(":")
            number = int(text)
            if what == "kind":
                attempts += number
                health.by_kind[of] = max(health.by_kind[of], number)
            elif what == "failed":
                health.failures[of] += number
            elif what == "took":
                took[int(of)] += number
        health.by_minute.append(attempts)
    health.attempts = sum(health.by_minute)
    health.failed = health.failures.total()
    health.p50_ms, health.p95_ms = _percentile(took, 0.5), _percentile(took, 0.95)
    health.last_error = LastError(*orjson.loads(error)) if error else None
    return health


def _percentile(took: Counter[int], share: float) -> int | None:
    """The upper bound of the bucket in which it lies."""
    left = took.total() * share
    for bucket in sorted(took):
        left -= took[bucket]
        if left <= 0:
            return _BOUNDS_MS[min(bucket, len(_BOUNDS_MS) - 1)]
    return None


def _add_processes(found: dict[str, AccountHealth], processes: Sequence[str]) -> None:
    if not processes:
        return
    now = time.time()
    for text in get_redis().mget([f"upstream_process:{each}" for each in processes]):
        if text is None:
            continue
        running, closed = orjson.loads(text)
        for name, number in running.items():
            if name in found:
                found[name].running += number
        for row in closed:
            target = ClosedTarget(*row)
            if target.account in found and target.until > now:
                found[target.account].closed.append(target)
