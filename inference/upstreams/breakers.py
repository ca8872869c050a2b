"""Whom to leave alone for a while: this process's view, by account and AI model.

A target that failed FAILURES times in a row is closed for a time that doubles while it goes on
failing. A closed target is passed over while another can take the call. Where there is none, one
call at a time still goes through, to notice that it is well again; all others are told to retry
later. Where upstream's own rules say so (a spent allowance, a rate limit), the first failure closes
a target, and for as long as they say.
"""

import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass

from inference.upstreams.accounts import Account
from inference.upstreams.failures import Scope, UpstreamCallError

FAILURES = 5
_FIRST_PAUSE_S = 5.0
_LONGEST_PAUSE_S = 60.0


@dataclass(slots=True)
class Breaker:
    """One target: closed to calls until `closed_until`, on the clock of the breakers."""

    failures: int = 0
    closed_until: float = 0.0
    probing: bool = False

    def pause_s(self) -> float:
        doubled: float = _FIRST_PAUSE_S * 2.0 ** (self.failures // FAILURES - 1)
        return min(_LONGEST_PAUSE_S, doubled)


class Breakers:
    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._by_target: dict[tuple[str, ...], Breaker] = {}

    def is_closed(self, account: Account, *, model: str, kind: str) -> bool:
        return self.closed_for_s(account, model=model, kind=kind) > 0

    def closed_for_s(self, account: Account, *, model: str, kind: str) -> float:
        """How much longer a target is to be left alone; 0: it may be called."""
        now = self._clock()
        return max(
            (breaker.closed_until - now for breaker in self._of(account, model, kind)),
            default=0.0,
        )

    def may_probe(self, account: Account, *, model: str, kind: str) -> bool:
        """Whether a call may go to a closed target all the same; it must report how it went."""
        now = self._clock()
        closed = [b for b in self._of(account, model, kind) if b.closed_until > now]
        if any(breaker.probing for breaker in closed):
            return False
        for breaker in closed:
            breaker.probing = True
        return True

    def succeeded(self, account: Account, *, model: str, kind: str) -> None:
        for key in _keys(account, model, kind):
            self._by_target.pop(key, None)

    def failed(
        self, account: Account, failure: UpstreamCallError, *, model: str, kind: str
    ) -> None:
        for breaker in self._of(account, model, kind):
            breaker.probing = False
        if failure.scope is Scope.CALL:
            return
        breaker = self._by_target.setdefault(_key(account, model, kind, failure.scope), Breaker())
        breaker.failures += 1
        now = self._clock()
        if failure.closed_for_s:
            breaker.closed_until = now + failure.closed_for_s
        elif breaker.failures >= FAILURES:
            breaker.closed_until = now + breaker.pause_s()

    def gave_up(self, account: Account, *, model: str, kind: str) -> None:
        """A call ended without telling anything of its target: its client left."""
        for breaker in self._of(account, model, kind):
            breaker.probing = False

    def open_all(self) -> None:
        """Forget everything."""
        self._by_target.clear()

    def _of(self, account: Account, model: str, kind: str) -> list[Breaker]:
        if not self._by_target:  # nearly always
            return []
        found = []
        for key in _keys(account, model, kind):
            with suppress(KeyError):
                found.append(self._by_target[key])
        return found


def _keys(account: Account, model: str, kind: str) -> list[tuple[str, ...]]:
    return [
        (account.name, "model", model),
        (account.name, "task", kind),
        (account.name, "account"),
    ]


def _key(account: Account, model: str, kind: str, scope: Scope) -> tuple[str, ...]:
    by_model, by_task, whole = _keys(account, model, kind)
    return {Scope.MODEL: by_model, Scope.TASK: by_task, Scope.ACCOUNT: whole}[scope]


breakers = Breakers()
