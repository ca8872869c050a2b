"""What this process has admitted by Redis in the last minute: Redis may lose it.

Counted by Redis' own seconds, so that what is told again falls where it was. It takes as much
memory as a minute has different calls, and is forgotten as the seconds go by.
"""

import os
import threading
import time
from collections import defaultdict
from collections.abc import Sequence

from billing.admission import outage
from billing.admission.rules import WINDOW_S, Count
from billing.usage.events import UsageEvent
from tenants.limits import NO_LIMITS

# Tenant code, line of keys, the model that was asked for.
Calls = tuple[str, str, str]
# As `Calls`, then the second, requests and tokens in it.
Row = tuple[str, str, str, int, int, int]
# Requests, tokens. Of one second's calls; a call's capture corrects the tokens.
Counted = list[int]

_MEMORY_SIZE = 20_000
_lock = threading.Lock()
_seconds: dict[int, dict[Calls, Counted]] = {}
# Of what was noted, by part of the gate.
_versions: defaultdict[int, int] = defaultdict(int)


_EMPTY = Count(NO_LIMITS, requests=0, tokens=0)
# By the window's key: how full it was when Redis said so last, and when.
_fills: dict[str, tuple[float, Count]] = {}


def note(event: UsageEvent, *, second: int, tokens: int) -> Counted:
    """A call was admitted. Returns what it is counted in, for `correct`."""
    with _lock:
        of_second = _seconds.get(second)
        if of_second is None:
            _forget_before(second - WINDOW_S)
            of_second = _seconds[second] = {}
        calls = (event.tenant_code, event.spender, event.asked_model)
        counted = of_second.get(calls)
        if counted is None:
            counted = of_second[calls] = [0, 0]
        counted[0] += 1
        counted[1] += tokens
        _versions[outage.part_of(event.tenant_code)] += 1
    return counted


def correct(counted: Counted, *, by_tokens: int) -> None:
    with _lock:
        counted[1] += by_tokens


def version(part: int = outage.WHOLE) -> int:
    """Another one: more has been noted."""
    return _versions[part]


def snapshot(part: int = outage.WHOLE) -> list[Row]:
    """All that it remembers of a part."""
    with _lock:
        _forget_before(int(time.time()) - WINDOW_S)
        return [
            (*calls, second, counted[0], counted[1])
            for second, of_second in _seconds.items()
            for calls, counted in of_second.items()
            if outage.part_of(calls[0]) == part
        ]


def note_fills(windows: Sequence[str], counting: str, counts: Sequence[Count]) -> None:
    """What Redis says that the windows have. counting: '1' for those that are told of."""
    if len(_fills) > _MEMORY_SIZE:
        _fills.clear()
    now, rest = time.monotonic(), iter(counts)
    for window, counts_it in zip(windows, counting, strict=True):
        # Of a call that was admitted before it tells nothing.
        if counts_it == "1" and (count := next(rest, None)):
            _fills[window] = now, count


def note_refusal(window: str, *, kind: str, used: int) -> None:
    """Redis has told of one of the window's counts only."""
    known = fill_of(window)
    count = Count(
        NO_LIMITS,
        requests=used if kind == "requests" else known.requests,
        tokens=used if kind == "tokens" else known.tokens,
        running=used if kind == "concurrent" else known.running,
    )
    _fills[window] = time.monotonic(), count


def fill_of(window: str) -> Count:
    """What Redis said last that it had; nothing, where that is a minute old."""
    seen_at, count = _fills.get(window, (0.0, _EMPTY))
    return count if time.monotonic() - seen_at <= WINDOW_S else _EMPTY


def forget_old() -> None:
    with _lock:
        _forget_before(int(time.time()) - WINDOW_S)


def forget_all() -> None:
    """As a process that has just started."""
    global _lock
    _lock = threading.Lock()
    _seconds.clear()
    _fills.clear()
    _versions.clear()


def _forget_before(oldest: int) -> None:
    for second in [second for second in _seconds if second < oldest]:
        del _seconds[second]


# What the parent has admitted it tells itself.
os.register_at_fork(after_in_child=forget_all)
