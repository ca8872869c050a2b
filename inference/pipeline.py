"""The path of a request, from the key to the outbox. The same for every endpoint.

    1 key        tenants.keys.authentication, before the view
    2 params     the endpoint's folder: pydantic models in params.py
    3 route      the catalogue: AI models that may answer, each with its price
    4 estimate   the most the call can cost at the dearest of them
    5 admit      one step in Redis: standing, money, hold
    6 call       attempts.py: accounts and AI models in turn, where that is safe
    7 shape      OpenAI's objects and chunks
    8 capture    one step in Redis: the hold ends, the cost is taken, the event is out
    9 settle     Celery: billing.settlement, from the outbox into the ledger

This module has 3 to 5 and the frame around 6 to 8; `chat/run.py` is the run of a chat,
`tasks.py` the run of everything that is answered whole. No transaction of PostgreSQL is open
here, and nothing waits for Celery.
"""

import time
from collections.abc import Callable, Collection
from dataclasses import dataclass
from uuid import UUID

from agentflare.errors import GatewayError, NotFoundError
from agentflare.money import format_usd
from billing.admission.services import admit
from billing.usage.events import UsageEvent
from inference.attempts import Attempts, Prepared
from inference.catalog.selectors import Offer, RoutePlan, catalogue
from inference.metering.meter import Meter
from inference.upstreams.accounts import CallContext
from tenants.keys.lookup import KeyRecord


@dataclass(frozen=True, slots=True)
class Call:
    """One request below /v1: who asks for what.

    model: the name the client used. affinity: what makes calls one conversation, if the client
    says so. cache_ttl_s: how old an answer from AI Gateway's cache may be; 0: no cache.
    is_idempotent: its answer is kept for a repeat.
    """

    caller: KeyRecord
    request_id: UUID
    endpoint: str
    model: str
    is_stream: bool = False
    affinity: str = ""
    cache_ttl_s: int = 0
    is_idempotent: bool = False

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
        }
        if meter.captured is not None:
            headers["X-Request-Cost"] = format_usd(meter.captured.cost_nusd)
            available = meter.captured.available_nusd
        if available is not None:
            headers["X-Balance-Remaining"] = format_usd(available)
        return headers


def admit_call(call: Call, *, prepare: Callable[[Offer], Prepared]) -> Admitted:
    """Steps 3 to 5: the candidates, and the money for the dearest of them held.

    prepare: makes the call ready for one AI model; raises GatewayError where that cannot be.
    Raises GatewayError; then nothing is held and upstream is not called.
    """
    snapshot = catalogue()
    plan = snapshot.route(call.model)
    candidates = prepare_candidates(plan, prepare)
    first = candidates[0].offer
    hold = admit(
        event=UsageEvent(
            request_id=call.request_id.hex,
            tenant_code=call.caller.tenant_code,
            key_id=call.caller.key_id,
            endpoint=call.endpoint,
            ai_model=first.name,
            upstream_model=first.upstream_model,
            route=plan.name if plan.name in snapshot.routes else "",
            is_stream=call.is_stream,
            estimated_nusd=max(candidate.most_nusd for candidate in candidates),
            price_version_id=first.price.version_id,
            started_at=time.time(),
        )
    )
    meter = Meter(hold, offer=first)
    attempts = Attempts(candidates, catalogue=snapshot, meter=meter)
    return Admitted(call, meter, attempts, candidates)


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
