"""One call's measure: what it has used so far, what that costs, and how the call ended."""

import time
from collections.abc import Callable
from decimal import Decimal

from agentflare.money import neurons_nusd
from billing.admission.live_holds import Hold
from billing.admission.services import Captured, capture
from billing.prices.models import Unit
from billing.usage.events import UsageEvent
from billing.usage.models import Status, Truth
from inference.catalog.selectors import Offer
from inference.chat.events import Usage


class Meter:
    """Keeps the hold's event at what the call has used, and captures exactly once.

    The hold is renewed in the background with whatever event stands here, so that the
    call of a process that dies is charged for what it had delivered.
    """

    def __init__(self, hold: Hold, *, offer: Offer) -> None:
        self.hold = hold
        self.offer = offer
        self._started = time.perf_counter()
        self.captured: Captured | None = None
        # Asked at each renewal of the hold: what has been relayed so far.
        self.usage_so_far: Callable[[], Usage] = Usage
        hold.progress = self.event_so_far

    # --- while it runs ----------------------------------------------------------

    def attempt(self) -> None:
        self.hold.event = self.hold.event.with_(attempts=self.hold.event.attempts + 1)

    def first_token(self) -> None:
        if self.hold.event.first_token_ms is None:
            self.hold.event = self.hold.event.with_(first_token_ms=self._elapsed_ms())

    def event_so_far(self) -> UsageEvent:
        """The event of this call if it ended now."""
        usage = self.usage_so_far()
        return self.hold.event.with_(
            duration_ms=self._elapsed_ms(), cost_nusd=self.price(usage), **self._quantities(usage)
        )

    # --- its end ----------------------------------------------------------------

    def finish(
        self,
        *,
        status: Status,
        usage: Usage,
        truth: Truth,
        upstream_request_id: str = "",
        finish_reason: str = "",
        error_code: str = "",
    ) -> Captured:
        """Capture. A repeat returns what was captured first and changes nothing."""
        if self.captured is None:
            cost_nusd = self.price(usage) if is_charged(status) else 0
            event = self.hold.event.with_(
                status=status,
                truth=truth,
                **self._quantities(usage),
                neurons=usage.neurons,
                cost_nusd=cost_nusd,
                provider_cost_nusd=self._provider_cost(usage),
                duration_ms=self._elapsed_ms(),
                upstream_request_id=upstream_request_id,
                finish_reason=finish_reason,
                error_code=error_code,
            )
            self.captured = capture(self.hold, event)
        return self.captured

    def price(self, usage: Usage) -> int:
        """What the tenant pays, in nUSD."""
        return self.offer.price.charge_nusd(self._units(usage))

    def _units(self, usage: Usage) -> dict[str, int | Decimal]:
        return {
            Unit.INPUT_TOKENS: usage.prompt_tokens - usage.cached_tokens,
            Unit.CACHED_INPUT_TOKENS: usage.cached_tokens,
            Unit.OUTPUT_TOKENS: usage.completion_tokens,
        }

    def _quantities(self, usage: Usage) -> dict[str, int]:
        return {
            "input_tokens": usage.prompt_tokens - usage.cached_tokens,
            "cached_input_tokens": usage.cached_tokens,
            "output_tokens": usage.completion_tokens,
            "reasoning_tokens": usage.reasoning_tokens,
        }

    def _provider_cost(self, usage: Usage) -> int:
        """By Cloudflare's own neurons where it told them, else by its rates."""
        if usage.neurons is not None:
            return neurons_nusd(Decimal(usage.neurons))
        return self.offer.price.provider_nusd(self._units(usage))

    def _elapsed_ms(self) -> int:
        return round((time.perf_counter() - self._started) * 1000)


def is_charged(status: Status) -> bool:
    """docs/billing.md: nothing came, nothing is owed."""
    return status not in {Status.EMPTY, Status.UPSTREAM_FAILED}
