"""The path of a request, from the key to the outbox. The same for every endpoint.

    1 key        tenants.keys.authentication, before the view
    2 params     the endpoint's folder: pydantic models in params.py
    3 route      the catalogue: AI models that may answer, each with its price
    4 estimate   the most the call can cost at the dearest of them
    5 admit      one step in Redis: standing, limits, budgets, money, hold
    6 call       attempts.py: accounts and AI models in turn, where that is safe
    7 shape      OpenAI's objects and chunks
    8 capture    one step in Redis: the hold ends, the cost is taken, the event is out
    9 settle     Celery: billing.settlement, from the outbox into the ledger

This module has 3 to 5 and the frame around 6 to 8; `chat/run.py` is the run of a chat,
`tasks.py` the run of everything that is answered whole. No transaction of PostgreSQL is open
here, and nothing waits for Celery.
"""

import time
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from uuid import UUID

from agentflare import tracing
from agentflare.errors import CreditError, GatewayError, NotFoundError
from agentflare.money import format_usd
from billing.admission.rules import Rules, rate_limit_headers
from billing.admission.services import admit, give_up
from billing.usage.events import UsageEvent
from inference import progress
from inference.attempts import Attempts, Prepared
from inference.catalog.allowed import require_allowed
from inference.catalog.ends import sunset_headers
from inference.catalog.selectors import Offer, RoutePlan, catalogue
from inference.metering.meter import Meter
from inference.shrink import fitting_cap
from inference.upstreams.accounts import CallContext
from tenants.keys.lookup import KeyRecord
from tenants.limits import NO_LIMITS

# How often a call is made smaller before it is refused.
_SHRINKS = 3


@dataclass(frozen=True, slots=True)
class Call:
    """One request below /v1: who asks for what.

    model: the name the client used. affinity: what makes calls one conversation, if the client
    says so. cache_ttl_s: how old an answer from AI Gateway's cache may be; 0: no cache.
    is_idempotent: its answer is kept for a repeat. shrink_to_fit: where the credit does not pay
    for it, its output cap is lowered instead of refusing it.
    """

    caller: KeyRecord
    request_id: UUID
    endpoint: str
    model: str
    is_stream: bool = False
    affinity: str = ""
    cache_ttl_s: int = 0
    is_idempotent: bool = False
    shrink_to_fit: bool = False

    @property
    def context(self) -> CallContext:
        return CallContext(
            tenant_code=self.caller.tenant_code,
            key_id=self.caller.key_id,
            request_id=self.request_id.hex,
            affinity=self.affinity,
            cache_ttl_s=self.cache_ttl_s,
        )


@dataclass(frozen=True, slots=True)
class Told:
    """Money as the client reads it: decimal dollars."""

    estimated_cost: str
    request_cost: str
    balance_remaining: str | None


@dataclass(slots=True)
class Admitted:
    """A call whose money is held: it must be captured, whatever happens."""

    call: Call
    meter: Meter
    attempts: Attempts
    candidates: list[Prepared]
    # The output cap that the credit pays for, where the client's own was lowered to it.
    shrunk_to: int | None = None

    def told(self) -> Told:
        """After the capture."""
        captured = self.meter.captured
        assert captured is not None
        available = captured.available_nusd
        return Told(
            estimated_cost=format_usd(self.meter.hold.event.estimated_nusd),
            request_cost=format_usd(captured.cost_nusd),
            balance_remaining=None if available is None else format_usd(available),
        )

    def headers(self) -> dict[str, str]:
        """What happened, and money: the cost only where it is known before the body."""
        meter = self.meter
        available: int | None = meter.hold.available_nusd
        headers = {
            "X-Estimated-Cost": format_usd(meter.hold.event.estimated_nusd),
            "x-agentflare-model": meter.offer.name,
            "x-agentflare-attempts": str(meter.attempts),
            "x-agentflare-cache": meter.cache_status or "NONE",
            **rate_limit_headers(meter.hold.counts),
            **sunset_headers(meter.offer),
        }
        if self.shrunk_to is not None:
            headers["x-agentflare-max-tokens"] = str(self.shrunk_to)
        if meter.captured is not None:
            headers["X-Request-Cost"] = format_usd(meter.captured.cost_nusd)
            available = meter.captured.available_nusd
        if available is not None:
            headers["X-Balance-Remaining"] = format_usd(available)
        return headers


def admit_call(
    call: Call,
    *,
    prepare: Callable[[Offer], Prepared],
    shrink: Callable[[Offer, int], Prepared] | None = None,
) -> Admitted:
    """Steps 3 to 5: the candidates, and the money for the dearest of them held.

    prepare: makes the call ready for one AI model; raises GatewayError where that cannot be.
    shrink: the same with a lower output cap, for kinds of call that have one.
    Raises GatewayError; then nothing is held and upstream is not called.
    """
    snapshot = catalogue().of(call.caller.tenant_code)
    plan = snapshot.route(call.model)
    require_allowed(call.caller, plan)
    rules = rules_of(call.caller, plan.own_name)
    candidates = prepare_candidates(plan, prepare)
    event = _event(call, plan, candidates)
    shrunk_to = None
    for tries_left in reversed(range(_SHRINKS + 1)):
        try:
            hold = admit(event=event, tokens=_most_tokens(candidates), rules=rules)
            break
        except CreditError as refusal:
            # Other calls may take of the credit meanwhile: then what they leave is tried.
            most_nusd = refusal.available_nusd or 0
            may_shrink = call.shrink_to_fit and tries_left
            smaller = _shrunk(candidates, shrink, most_nusd=most_nusd) if may_shrink else []
            if not smaller:
                give_up(event)
                raise
            candidates, event = smaller, _event(call, plan, smaller)
            shrunk_to = min(candidate.output_cap or 0 for candidate in candidates)
        except Exception:
            give_up(event)
            raise
    meter = Meter(hold, offer=candidates[0].offer)
    progress.note_admitted(call.request_id)
    attempts = Attempts(
        candidates, catalogue=snapshot, meter=meter, tenant_code=call.caller.tenant_code
    )
    return Admitted(call, meter, attempts, candidates, shrunk_to)


def _most_tokens(candidates: Sequence[Prepared]) -> int:
    return max(candidate.most_tokens for candidate in candidates)


def _shrunk(
    candidates: Sequence[Prepared],
    shrink: Callable[[Offer, int], Prepared] | None,
    *,
    most_nusd: int,
) -> list[Prepared]:
    """Those that so much money pays for a shorter answer of, with that answer's cap."""
    if shrink is None:
        return []
    caps = [(each, fitting_cap(each, most_nusd=most_nusd)) for each in candidates]
    return [shrink(each.offer, cap) for each, cap in caps if cap is not None]


def rules_of(caller: KeyRecord, asked_model: str) -> Rules:
    """What a call of this key to this model (or route) is measured against."""
    return Rules(
        tenant=caller.tenant_limits,
        key=caller.limits,
        key_at_model=caller.ai_model_limits.get(asked_model, NO_LIMITS),
        budgets=caller.budgets,
    )


def _event(call: Call, plan: RoutePlan, candidates: Sequence[Prepared]) -> UsageEvent:
    """The call as it would be booked if this process died at once."""
    first = candidates[0].offer
    return UsageEvent(
        request_id=call.request_id.hex,
        tenant_code=call.caller.tenant_code,
        key_id=call.caller.key_id,
        line_id=call.caller.line_id,
        endpoint=call.endpoint,
        ai_model=first.name,
        upstream_model=first.upstream_model,
        route=plan.name if plan.is_route else "",
        is_stream=call.is_stream,
        estimated_nusd=max(candidate.most_nusd for candidate in candidates),
        price_version_id=first.price.version_id,
        started_at=time.time(),
        trace=tracing.traceparent(),
    )


def prepare_candidates(plan: RoutePlan, prepare: Callable[[Offer], Prepared]) -> list[Prepared]:
    """Those of a route that can do what is asked, in order.

    Raises the first one's refusal when none can.
    """
    candidates = []
    refusal: GatewayError | None = None
    for offer in plan.order():
        try:
            candidates.append(prepare(offer))
        except GatewayError as exc:
            refusal = refusal or exc
    if not candidates:
        assert refusal is not None
        raise refusal
    return candidates


def require_kind(offer: Offer, kinds: Collection[str], *, endpoint: str) -> None:
    """Raises NotFoundError for a model of another kind."""
    if offer.kind not in kinds:
        raise NotFoundError(
            f"The model `{offer.name}` is a model for {offer.kind} and not supported in the "
            f"v1/{endpoint} endpoint.",
            param="model",
            code="model_not_supported",
        )
