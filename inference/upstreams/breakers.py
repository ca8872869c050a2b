"""Whom to leave alone for a while: this process's view, by account and AI model.

A target that failed FAILURES times in a row is closed for a time that doubles while it goes on
failing. A closed target is passed over while another can take the call. Where there is none, one
call at a time still goes through, to notice that it is well again; all others are told to retry
later. Where upstream's own rules say so (a spent allowance, a rate limit), the first failure closes
a target, and for as long as they say.

A failure that the call may have provoked (an input that breaks the model) closes the target for
that call's tenant. It counts for everybody only together with other tenants' failures, and then
bounded: nobody can close a model to the others by breaking it.
"""

import time
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field

from inference.upstreams.accounts import Account
from inference.upstreams.failures import Scope, UpstreamCallError

FAILURES = 5
# Longer ago, failures are no row any more.
FORGET_S = 600.0
_FIRST_PAUSE_S = 5.0
_LONGEST_PAUSE_S = 60.0


@dataclass(slots=True)
class Breaker:
    """One target: closed to calls until `closed_until`, on the clock of the breakers.

    sure: failures that no call has provoked. by_tenant: those that may have been provoked.
    """

    sure: int = 0
    by_tenant: Counter[str] = field(default_factory=Counter)
    failed_at: float = 0.0
    closed_until: float = 0.0
    probing: bool = False

    @property
    def failures(self) -> int:
        """In a row. One tenant counts for nothing alone, and beside others as much as they do and
        FAILURES - 1 more."""
        if len(self.by_tenant) < 2:
            return self.sure
        most = max(self.by_tenant.values())
        others = self.by_tenant.total() - most
        return self.sure + others + min(most, others + FAILURES - 1)

    def pause_s(self) -> float:
        doubled: float = _FIRST_PAUSE_S * 2.0 ** (self.failures // FAILURES - 1)
        return min(_LONGEST_PAUSE_S, doubled)

    def failed(self, now: float, *, provoked_by: str = "", closed_for_s: float = 0.0) -> None:
        """A failure that does not count (any more) closes nothing again."""
        before = self.failures
        if provoked_by:
            self.by_tenant[provoked_by] += 1
        else:
            self.sure += 1
        self.failed_at = now
        if closed_for_s:
            self.closed_until = now + closed_for_s
        elif self.failures > before and self.failures >= FAILURES:
            self.closed_until = now + self.pause_s()

    def is_old(self, now: float) -> bool:
        return not self.probing and max(self.failed_at + FORGET_S, self.closed_until) < now


class Breakers:
    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._by_target: dict[tuple[str, ...], Breaker] = {}
        self._looked_through_at = clock()

    def is_closed(self, account: Account, *, model: str, kind: str, tenant: str) -> bool:
        return self.closed_for_s(account, model=model, kind=kind, tenant=tenant) > 0

    def closed_for_s(self, account: Account, *, model: str, kind: str, tenant: str) -> float:
        """How much longer the tenant's calls are to leave a target alone; 0: it may be called."""
        now = self._clock()
        return max(
            (breaker.closed_until - now for breaker in self._of(account, model, kind, tenant)),
            default=0.0,
        )

    def may_probe(self, account: Account, *, model: str, kind: str, tenant: str) -> bool:
        """Whether a call may go to a closed target all the same; it must report how it went."""
        now = self._clock()
        closed = [b for b in self._of(account, model, kind, tenant) if b.closed_until > now]
        if any(breaker.probing for breaker in closed):
            return False
        for breaker in closed:
            breaker.probing = True
        return True

    def succeeded(self, account: Account, *, model: str, kind: str, tenant: str) -> None:
        for key in _keys(account, model, kind, tenant):
            self._by_target.pop(key, None)

    def failed(
        self, account: Account, failure: UpstreamCallError, *, model: str, kind: str, tenant: str
    ) -> None:
        self.gave_up(account, model=model, kind=kind, tenant=tenant)
        if failure.scope is Scope.CALL:
            return
        now = self._clock()
        self._forget_old(now)
        by_model, by_task, whole, own = _keys(account, model, kind, tenant)
        key = {Scope.MODEL: by_model, Scope.TASK: by_task, Scope.ACCOUNT: whole}[failure.scope]
        self._breaker(key).failed(
            now,
            provoked_by=tenant if failure.may_be_provoked else "",
            closed_for_s=failure.closed_for_s,
        )
        if failure.may_be_provoked:
            self._breaker(own).failed(now)

    def gave_up(self, account: Account, *, model: str, kind: str, tenant: str) -> None:
        """A call ended without telling anything of its target: its client left."""
        for breaker in self._of(account, model, kind, tenant):
            breaker.probing = False

    def open_all(self) -> None:
        """Forget everything."""
        self._by_target.clear()

    def closed_targets(self) -> list[tuple[str, str, str, str, int, float]]:
        """Account, scope, what, tenant, failures in a row, and until when (since 1970)."""
        now, told = self._clock(), []
        for key, breaker in list(self._by_target.items()):
            if breaker.closed_until > now:
                account, scope, what, tenant = (*key, "", "")[:4]
                until = time.time() + breaker.closed_until - now
                failures = max(breaker.failures, breaker.sure)
                told.append((account, scope, what, tenant, failures, until))
        return told

    def _breaker(self, key: tuple[str, ...]) -> Breaker:
        return self._by_target.setdefault(key, Breaker())

    def _forget_old(self, now: float) -> None:
        """Those of tenants that have left after a failure: no success will ever take them away."""
        if now - self._looked_through_at < FORGET_S:
            return
        self._looked_through_at = now
        for key in [key for key, breaker in self._by_target.items() if breaker.is_old(now)]:
            del self._by_target[key]

    def _of(self, account: Account, model: str, kind: str, tenant: str) -> list[Breaker]:
        if not self._by_target:  # nearly always
            return []
        found = []
        for key in _keys(account, model, kind, tenant):
            with suppress(KeyError):
                found.append(self._by_target[key])
        return found


def _keys(account: Account, model: str, kind: str, tenant: str) -> list[tuple[str, ...]]:
    return [
        (account.name, "model", model),
        (account.name, "task", kind),
        (account.name, "account"),
        (account.name, "model", model, tenant),
    ]


breakers = Breakers()
