"""Which AI model at which account is asked, and asked next when that fails.

Another attempt is made only while nothing of an answer has been passed on: the callers see to
that by doing no more than up to there inside `Attempts.run`.
"""

import logging
import random
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, TypeVar

from django.conf import settings

from agentflare import tracing
from agentflare.errors import retry_after
from inference.catalog.selectors import Catalogue, Offer
from inference.metering.measured import TOKEN_UNITS, Quantities
from inference.metering.meter import Meter
from inference.upstreams import watching
from inference.upstreams.accounts import Account
from inference.upstreams.breakers import breakers
from inference.upstreams.client import BROKEN, as_failure
from inference.upstreams.failures import Scope, UpstreamCallError

logger = logging.getLogger(__name__)
Result = TypeVar("Result")
_BACKOFF_S = 0.15
# Whoever found that nobody is well may look again this soon: a call at a time does no harm.
_PROBE_AGAIN_S = 2.0
# Fallbacks beyond this many would keep a client waiting for nothing.
_MOST_ATTEMPTS = 6


@dataclass(frozen=True, slots=True)
class Prepared:
    """A call made ready for one AI model.

    most: the most it can use of each unit. work: what its kind of call needs to be made.
    facts: of its prompt, for the usage event: estimates learn from them.
    """

    offer: Offer
    most: Quantities
    work: Any
    facts: Mapping[str, Any] = field(default_factory=dict)
    # Of one answer in tokens, where the kind of call has such a cap.
    output_cap: int | None = None

    @property
    def most_nusd(self) -> int:
        return self.offer.price.charge_nusd(self.most)

    @property
    def most_tokens(self) -> int:
        """What it counts against limits of tokens a minute."""
        return int(sum(self.most.get(unit, 0) for unit in TOKEN_UNITS))


@dataclass(frozen=True, slots=True)
class Target:
    """Whom one attempt goes to, and for which tenant. reject_if_busy: another one could take it
    instead."""

    prepared: Prepared
    account: Account
    tenant_code: str
    reject_if_busy: bool = False

    @property
    def offer(self) -> Offer:
        return self.prepared.offer

    @property
    def names(self) -> dict[str, str]:
        """As the breakers know it."""
        return {
            "model": self.offer.upstream_model,
            "kind": self.offer.kind,
            "tenant": self.tenant_code,
        }


class Attempts:
    """The attempts of one call. After the first success only that AI model is asked.

    A call of several parts (choices, batches) must not be answered by several models.
    """

    def __init__(
        self,
        candidates: Sequence[Prepared],
        *,
        catalogue: Catalogue,
        meter: Meter,
        tenant_code: str,
    ) -> None:
        self._candidates = candidates
        self._tenant_code = tenant_code
        self._catalogue = catalogue
        self._meter = meter
        self.served: Prepared | None = None
        self.is_aborted = False

    def run(self, call: Callable[[Target], Result]) -> Result:
        """The first success. Raises UpstreamCallError, the last one, when there is none."""
        queue, probed = self._queue()
        limit = min(_MOST_ATTEMPTS, max(settings.UPSTREAM_ATTEMPTS, len(queue)))
        try:
            return self._first_success(queue, call, limit=limit)
        except UpstreamCallError as failure:
            is_theirs = failure.scope is not Scope.CALL
            if probed and is_theirs and not failure.error.headers:
                # Nobody was well yet. Its own error is told, and when to come again.
                wait_s = min(_wait_s(probed), _PROBE_AGAIN_S)
                failure.error.headers = retry_after(wait_s)
            raise
        finally:
            if probed:
                breakers.gave_up(probed.account, **probed.names)

    def _first_success(
        self, queue: list[Target], call: Callable[[Target], Result], *, limit: int
    ) -> Result:
        for attempt in range(1, limit + 1):
            target = _with_busy_rule(queue, is_last=attempt == limit)
            prepared = target.prepared
            self._meter.attempt(
                prepared.offer, target.account, most=prepared.most, facts=prepared.facts
            )
            began = time.perf_counter()
            try:
                with _span(target, attempt):
                    result = call(target)
            except (UpstreamCallError, *BROKEN) as exc:
                failure = as_failure(exc)
                if not self.is_aborted:
                    watching.note_failure(
                        target.account,
                        failure,
                        kind=prepared.offer.kind,
                        model=prepared.offer.name,
                    )
                breakers.failed(target.account, failure, **target.names)
                queue = _after(queue, failure)
                if attempt == limit or not queue or self.is_aborted:
                    raise failure from exc
                logger.info("Attempt %d failed: %s", attempt, failure.log_line)
                if queue[0].account is target.account and queue[0].prepared is target.prepared:
                    _pause(attempt)
                continue
            except BaseException:
                breakers.gave_up(target.account, **target.names)
                raise
            self.served = target.prepared
            took_ms = (time.perf_counter() - began) * 1000
            watching.note_success(target.account, kind=target.offer.kind, took_ms=took_ms)
            breakers.succeeded(target.account, **target.names)
            return result
        raise AssertionError("the last attempt returns or raises")

    def failed(self, target: Target, failure: UpstreamCallError) -> None:
        """An answer that broke off after its first piece, when it had counted as a success."""
        if not self.is_aborted:
            watching.note_failure(target.account, failure, kind="", model=target.offer.name)
        breakers.failed(target.account, failure, **target.names)

    def _queue(self) -> tuple[list[Target], Target | None]:
        """Whom to ask, in order, without those to be left alone. Raises UpstreamCallError.

        Where all are to be left alone: all of them, for the one call at a time that finds out
        whether any is well again; and the target that keeps the others out meanwhile.
        """
        candidates = [self.served] if self.served else self._candidates
        targets = [
            Target(prepared, account, self._tenant_code)
            for prepared in candidates
            for account in self._catalogue.accounts_for(prepared.offer)
        ]
        waits = [_wait_s(target) for target in targets]
        if open_now := [t for t, wait in zip(targets, waits, strict=True) if wait <= 0]:
            return open_now, None
        # The same one for all calls, whatever order they have.
        keeper = min(targets, key=lambda t: (t.offer.name, t.account.name), default=None)
        if keeper and breakers.may_probe(keeper.account, **keeper.names):
            return targets, keeper
        raise UpstreamCallError.left_alone(
            f"{len(targets)} accounts, all left alone", retry_after_s=min(waits, default=60.0)
        )


# OpenTelemetry's names of what a model does.
_OPERATIONS = {"chat": "chat", "embeddings": "embeddings"}


def _span(target: Target, attempt: int) -> Any:
    """Of a stream until its first piece."""
    offer = target.offer
    operation = _OPERATIONS.get(offer.kind, offer.kind)
    return tracing.span(
        f"{operation} {offer.name}",
        kind="client",
        gen_ai__operation__name=operation,
        gen_ai__provider__name=target.account.provider,
        gen_ai__request__model=offer.upstream_model,
        agentflare__upstream=target.account.name,
        agentflare__attempt=attempt,
    )


def _wait_s(target: Target) -> float:
    """How much longer it is to be left alone."""
    return breakers.closed_for_s(target.account, **target.names)


def _with_busy_rule(queue: list[Target], *, is_last: bool) -> Target:
    """While another one will be asked, a busy one need not make us wait."""
    target = queue[0]
    has_other = not is_last and any(
        other.account is not target.account or other.prepared is not target.prepared
        for other in queue[1:]
    )
    return replace(target, reject_if_busy=has_other)


def _after(queue: list[Target], failure: UpstreamCallError) -> list[Target]:
    """Who is left to ask. One that may succeed in a moment comes again, after the others."""
    target, *rest = queue
    if failure.may_retry:
        return [*rest, target]
    if not failure.may_fall_over:
        return []
    if failure.scope is Scope.ACCOUNT:
        return [other for other in rest if other.account is not target.account]
    return rest


def _pause(attempt: int) -> None:
    time.sleep(_BACKOFF_S * attempt * random.uniform(0.5, 1.5))  # noqa: S311  # jitter
