"""Credit that is held for something that is no call: a refund. Nothing can spend it meanwhile."""

import time
from uuid import UUID

from agentflare import errors
from agentflare.partitions import partition_of
from agentflare.redis_store import get_redis
from billing.admission import gate, outage, recovery
from billing.admission.warmth import warm_up
from billing.usage.events import UsageEvent

# Between holding and booking lie milliseconds; it ends by itself after this.
_TTL_S = 180


class NotAvailableError(Exception):
    """So much is not there to be held. `available_nusd` is."""

    def __init__(self, available_nusd: int) -> None:
        super().__init__(f"{available_nusd} nUSD are available")
        self.available_nusd = available_nusd


def reserve(*, tenant_code: str, reserve_id: UUID, amount_nusd: int, purpose: str) -> None:
    """Hold it, in one step with looking whether it is there. A repeat holds it once.

    purpose: what lists of holds say. Raises NotAvailableError, RedisDownError, and
    ServiceUnavailableError while the gate is not the one that decides.
    """
    part = outage.part_of(tenant_code)
    if outage.is_on(part):
        raise errors.ServiceUnavailableError("Credit cannot be held now. Try again in a minute.")
    verdict = _ask(tenant_code, reserve_id, amount_nusd, purpose)
    if verdict[0] == "lost" and recovery.is_new_redis(part):
        verdict = _ask(tenant_code, reserve_id, amount_nusd, purpose)
    if verdict[0] == "cold":
        warm_up(tenant_code)
        verdict = _ask(tenant_code, reserve_id, amount_nusd, purpose)
    if verdict[0] == "insufficient":
        raise NotAvailableError(int(verdict[1]))
    if verdict[0] != "held":
        raise errors.ServiceUnavailableError("Credit cannot be held now. Try again in a minute.")


def _ask(tenant_code: str, reserve_id: UUID, amount_nusd: int, purpose: str) -> list[str]:
    event = UsageEvent(
        request_id=str(reserve_id),
        tenant_code=tenant_code,
        key_id="",
        endpoint=purpose,
        ai_model=purpose,
        upstream_model="",
        is_stream=False,
        estimated_nusd=amount_nusd,
        price_version_id=0,
        started_at=time.time(),
    )
    keys = gate.HoldKeys.of(event)
    answer: list[str] = gate.script("reserve")(
        keys=[keys.gate, keys.hold, keys.holds, keys.mark],
        args=[str(reserve_id), tenant_code, amount_nusd, _TTL_S * 1000, event.dumps()],
    )
    return answer


def is_reserved(*, tenant_code: str, reserve_id: UUID) -> bool:
    key = gate.hold_key(partition_of(tenant_code), str(reserve_id))
    return bool(get_redis().exists(key))


def release(*, tenant_code: str, reserve_id: UUID) -> None:
    """End it: given back, or booked and told to the gate before. A repeat does nothing."""
    partition = partition_of(tenant_code)
    gate.script("release")(
        keys=[
            gate.gate_key(tenant_code),
            gate.hold_key(partition, str(reserve_id)),
            gate.holds_key(partition),
        ],
        args=[str(reserve_id)],
    )
