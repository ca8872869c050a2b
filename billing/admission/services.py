"""May this call start? And what did it cost in the end?"""

import logging
import time
from dataclasses import dataclass

from agentflare import errors
from agentflare.redis_store import RedisDownError
from billing.admission import gate, live_holds
from billing.admission.gate import Gate
from billing.admission.live_holds import Hold
from billing.admission.refusals import refusal_of
from billing.admission.rules import NO_RULES, Rules, counts_of
from billing.ledger.services import sync_gate
from billing.usage.budgets import sync_spend
from billing.usage.events import UsageEvent
from tenants.registry import status
from tenants.registry.models import Tenant
from tenants.registry.selectors import tenant_by_code

logger = logging.getLogger(__name__)
_LOOK_AGAIN_S = 5.0
_MEMORY_SIZE = 20_000
# Tenant code → when its refusal was last checked against the ledger.
_looked_at: dict[str, float] = {}


@dataclass(frozen=True, slots=True)
class Captured:
    """The end of a hold, in nUSD. `available_nusd` is None while Redis is down."""

    cost_nusd: int
    available_nusd: int | None


def admit(*, event: UsageEvent, tokens: int = 0, rules: Rules = NO_RULES) -> Hold:
    """Let a call start: hold `event.estimated_nusd`, the most it can cost.

    event: the call's usage event as it would read if this process died at once. From
        here on the hold is renewed, with the progress put into `hold.event`.
    tokens: the most it can use; corrected when it is captured.
    A second call for the same request id returns the hold that stands.
    Raises RateLimitError, KeyBudgetError, InsufficientCreditError, CreditHeldError or
    TenantSuspendedError; then nothing is held or counted. Raises RedisDownError when Redis does
    not answer.
    """
    keys = gate.HoldKeys.of(event)
    verdict, *facts = _ask_gate(keys, event, tokens, rules)
    if verdict == "cold" or (verdict == "insufficient" and _may_be_stale(event.tenant_code)):
        warm_up(event.tenant_code)
        if rules.budgets:
            sync_spend(event.tenant_code, event.spender)
        verdict, *facts = _ask_gate(keys, event, tokens, rules)
    if verdict != "held":
        raise refusal_of(verdict, facts, amount_nusd=event.estimated_nusd, tokens=tokens)
    available_nusd, *windows = facts
    hold = Hold(
        keys=keys,
        event=event,
        available_nusd=int(available_nusd),
        counts=counts_of(rules, windows),
    )
    live_holds.add(hold)
    return hold


def capture(hold: Hold, event: UsageEvent) -> Captured:
    """End a hold: take what the call cost, and hand its event to settlement.

    A repeat returns what was captured first. While Redis is down the capture is kept in
    this process and sent when it is back.
    """
    # First what may fail: a hold that is not captured must go on being renewed.
    event.dumps()
    hold.event = event
    live_holds.remove(hold)
    try:
        cost_nusd, available_nusd = live_holds.send_capture(hold)
    except RedisDownError:
        logger.warning("Redis is down: the capture of %s waits", event.request_id)
        live_holds.send_later(hold)
        return Captured(cost_nusd=event.cost_nusd, available_nusd=None)
    return Captured(cost_nusd=cost_nusd, available_nusd=available_nusd)


def require_credit(tenant_code: str) -> None:
    """For work that comes before a call's admission. Raises InsufficientCreditError.

    As `admit`, it looks into the ledger where the gate is cold, or may not know of a top-up.
    """
    known = gate.read(tenant_code)
    if known is None or (_is_spent(known) and _may_be_stale(tenant_code)):
        warm_up(tenant_code)
        known = gate.read(tenant_code)
    if known is not None and _is_spent(known):
        raise errors.InsufficientCreditError(
            "You exceeded your current quota: there is no credit left. Add credit in the dashboard."
        )


def _is_spent(known: Gate) -> bool:
    return known.posted - known.unsettled <= 0


def warm_up(tenant_code: str) -> None:
    """Rebuild a tenant's standing and gate from PostgreSQL. Safe at any time."""
    status.publish(tenant_by_code(tenant_code))
    sync_gate(tenant_code)


def books(tenant: Tenant) -> Gate:
    """A tenant's books, made from the ledger where Redis does not have them.

    Raises RedisDownError.
    """
    known = gate.read(tenant.code)
    if known is None:
        warm_up(tenant.code)
        known = gate.read(tenant.code)
    assert known is not None
    return known


def _may_be_stale(tenant_code: str) -> bool:
    """Whether to look into the ledger before a refusal: once in a while for each tenant.

    A Redis that was killed may have forgotten the last top-up it was told of.
    """
    now = time.monotonic()
    if _looked_at.get(tenant_code, 0) > now - _LOOK_AGAIN_S:
        return False
    if len(_looked_at) > _MEMORY_SIZE:
        _looked_at.clear()
    _looked_at[tenant_code] = now
    return True


def _ask_gate(keys: gate.HoldKeys, event: UsageEvent, tokens: int, rules: Rules) -> tuple[str, ...]:
    verdict = gate.admit(
        keys,
        request_id=event.request_id,
        tenant_code=event.tenant_code,
        amount_nusd=event.estimated_nusd,
        event=event.dumps(),
        tokens=tokens,
        rules=rules,
    )
    return tuple(verdict)
