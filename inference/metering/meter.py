"""One call's measure: what it has used so far, what that costs, and how the call ended."""

import time
from collections.abc import Callable, Mapping
from decimal import Decimal
from typing import Any

from django.conf import settings

from agentflare import logs, tracing
from agentflare.money import price_nusd
from billing.admission.live_holds import Hold
from billing.admission.services import Captured, capture
from billing.prices.models import Unit
from billing.usage.events import UsageEvent
from billing.usage.models import Status, Truth
from inference.catalog.selectors import Offer
from inference.metering.measured import Measured, Quantities
from inference.metering.observed import observe
from inference.upstreams.accounts import Account
from inference.upstreams.client import Answer
from inference.upstreams.failures import UpstreamCallError

HIT, MISS = "HIT", "MISS"
_NO_FACTS = {"script": "", "likely_tokens": 0, "most_tokens": 0}


class Meter:
    """Keeps the hold's event at what the call has used, and captures exactly once.

    The hold is renewed in the background with whatever event stands here, so that the
    call of a process that dies is charged for what it had delivered.
    """

    def __init__(self, hold: Hold, *, offer: Offer) -> None:
        self.hold = hold
        self.offer = offer
        self._started = time.perf_counter()
        self._has_answer = False
        self.captured: Captured | None = None
        self.most: Quantities = {}
        # What upstream answered for nothing: it costs us, and never the tenant.
        self.wasted = Measured()
        # Asked at each renewal of the hold: what has been relayed so far.
        self.used_so_far: Callable[[], Measured] = Measured
        hold.progress = self.event_so_far

    # --- while it runs ----------------------------------------------------------

    def attempt(
        self, offer: Offer, account: Account, *, most: Quantities, facts: Mapping[str, Any]
    ) -> None:
        """The call goes to this AI model now, at its price. most: what it can use there."""
        self.offer = offer
        self.most = most
        event = self.hold.event
        self.hold.event = event.with_(
            attempts=event.attempts + 1,
            ai_model=offer.name,
            upstream_model=offer.upstream_model,
            price_version_id=offer.price.version_id,
            upstream=account.name,
            **{**_NO_FACTS, **facts},
        )

    def answered(self, answer: Answer) -> None:
        """What the answer's headers tell of the call.

        A call of several answers (choices, batches, pictures) is from the cache when all of
        them are: one that was made has its price, whichever came last.
        """
        status = answer.cache_status
        if self._has_answer and self.cache_status != HIT and status == HIT:
            status = self.cache_status
        self._has_answer = True
        self.hold.event = self.hold.event.with_(
            upstream_request_id=answer.request_id,
            gateway_log_id=answer.gateway_log_id,
            cache_status=status,
            answers=self.hold.event.answers + 1,
        )

    def first_token(self) -> None:
        if self.hold.event.first_token_ms is None:
            self.hold.event = self.hold.event.with_(first_token_ms=self._elapsed_ms())

    def event_so_far(self) -> UsageEvent:
        """The event of this call if it ended now."""
        used = self.used_so_far()
        cached = used if self.cache_status == HIT else Measured()
        return self.hold.event.with_(
            duration_ms=self._elapsed_ms(),
            cost_nusd=self.price(used, cached),
            provider_cost_nusd=self._provider_cost(used, cached),
            **_columns(used),
        )

    def note_cache(self, *, is_hit: bool) -> None:
        """Of a call in several parts: a hit only if all of them were."""
        if self.cache_status:
            self.hold.event = self.hold.event.with_(cache_status=HIT if is_hit else MISS)

    @property
    def attempts(self) -> int:
        return self.hold.event.attempts

    @property
    def cache_status(self) -> str:
        return self.hold.event.cache_status

    # --- its end ----------------------------------------------------------------

    def finish(
        self,
        *,
        status: Status,
        used: Measured,
        cached: Measured | None = None,
        finish_reason: str = "",
        error_code: str = "",
        upstream_request_id: str = "",
        is_cut: bool = False,
    ) -> Captured:
        """Capture. A repeat returns what was captured first and changes nothing.

        Raises UpstreamCallError for a completed call that had been taken for dead: less was
        captured than it cost, so what has not been delivered yet must not be.

        cached: the part of `used` that came from AI Gateway's cache. By default all or nothing
            of it, as the last answer's header said.
        is_cut: we have left out the end of the answer, and stopped upstream there.
        """
        if self.captured is None:
            if cached is None:
                cached = used if self.cache_status == HIT else Measured()
            event = self.hold.event.with_(
                status=status,
                truth=used.truth if used.neurons is None else Truth.PROVIDER,
                **_columns(used),
                neurons=None if used.neurons is None else format(used.neurons, "f"),
                cost_nusd=self.price(used, cached) if is_charged(status) else 0,
                provider_cost_nusd=self._provider_cost(used, cached),
                duration_ms=self._elapsed_ms(),
                upstream_request_id=upstream_request_id or self.hold.event.upstream_request_id,
                finish_reason=finish_reason,
                error_code=error_code,
                is_cut=is_cut,
            )
            self.captured = capture(self.hold, event)
            observe(event, cost_nusd=self.captured.cost_nusd)
            tracing.note(
                gen_ai__response__model=event.ai_model,
                gen_ai__usage__input_tokens=event.input_tokens + event.cached_input_tokens,
                gen_ai__usage__output_tokens=event.output_tokens,
                agentflare__outcome=str(status),
                agentflare__cost_nusd=self.captured.cost_nusd,
                agentflare__tenant=event.tenant_code,
            )
            logs.bind(outcome=str(status), cost_nusd=str(self.captured.cost_nusd))
            if status == Status.COMPLETED and self.captured.cost_nusd < event.cost_nusd:
                raise UpstreamCallError.hold_lost()
        return self.captured

    def price(self, used: Measured, cached: Measured) -> int:
        """What the tenant pays, in nUSD. What came from the cache costs its share."""
        if not cached.quantities and not cached.neurons:
            return self._full(used)
        share = settings.CACHE_HIT_PERCENT / Decimal(100)
        of_cached = price_nusd(quantities={"price": self._full(cached)}, rates={"price": share})
        if cached is used:
            return of_cached
        return self._full(used.without(cached)) + of_cached

    def _full(self, used: Measured) -> int:
        return self.offer.price.charge_nusd(
            used.quantities,
            neurons=used.neurons,
            most=None if used.truth == Truth.PROVIDER else self.most,
        )

    def _provider_cost(self, used: Measured, cached: Measured) -> int:
        """By Cloudflare's own neurons where it told them, else by its rates. A hit is free."""
        price = self.offer.price
        paid = Measured() if cached is used else used.without(cached)
        return price.provider_nusd(paid.quantities, neurons=paid.neurons) + price.provider_nusd(
            self.wasted.quantities, neurons=self.wasted.neurons
        )

    def _elapsed_ms(self) -> int:
        return round((time.perf_counter() - self._started) * 1000)


def _columns(used: Measured) -> dict[str, object]:
    """A usage event's columns: tokens have some of their own."""
    return {
        "input_tokens": used.tokens(Unit.INPUT_TOKENS),
        "cached_input_tokens": used.tokens(Unit.CACHED_INPUT_TOKENS),
        "output_tokens": used.tokens(Unit.OUTPUT_TOKENS),
        "reasoning_tokens": used.reasoning_tokens,
        "quantities": used.others,
    }


def is_charged(status: Status) -> bool:
    """docs/billing.md: nothing came, nothing is owed."""
    return status not in {Status.EMPTY, Status.UPSTREAM_FAILED}
