"""Who wants to be told, or recharged, when the balance falls: known without asking each tenant.

Settlement asks `note_balance` after each booking: a dictionary look-up. What then has to be done
is a task's work.
"""

import time
from dataclasses import dataclass, field

from agentflare.redis_store import RedisDownError
from billing.admission import gate
from billing.ledger.services import credit_account, sync_gate
from billing.payments.models import BillingAccount
from billing.stripe.models import BalanceWatch

_REFRESH_S = 5.0


@dataclass
class _Memory:
    read_at: float = 0.0
    floors: dict[str, int] = field(default_factory=dict)
    # Tenant → when its low balance was last told.
    told: dict[str, float] = field(default_factory=dict)


_memory = _Memory()


def watch(tenant_code: str, account: BillingAccount) -> None:
    """Keep below which balance this tenant is of interest. In the account's own transaction."""
    floors = [account.alert_nusd] if account.alert_nusd is not None else []
    if account.auto_enabled:
        floors.append(account.auto_threshold_nusd)
    if not floors:
        BalanceWatch.objects.filter(tenant_code=tenant_code).delete()
        return
    BalanceWatch.objects.update_or_create(
        tenant_code=tenant_code, defaults={"floor_nusd": max(floors)}
    )


def note_balance(tenant_code: str, balance_nusd: int) -> bool:
    """The ledger's balance is this now. Returns whether somebody must look after it.

    At most once in some seconds for each tenant: one that stays low is no news.
    """
    now = time.monotonic()
    if now - _memory.read_at > _REFRESH_S:
        _memory.floors = dict(BalanceWatch.objects.values_list("tenant_code", "floor_nusd"))
        _memory.read_at = now
    floor = _memory.floors.get(tenant_code)
    if floor is None or balance_nusd >= floor:
        return False
    if _memory.told.get(tenant_code, 0) > now - _REFRESH_S:
        return False
    _memory.told[tenant_code] = now
    return True


def forget() -> None:
    """As a process that has just started."""
    global _memory
    _memory = _Memory()


def left_nusd(tenant_code: str) -> int:
    """What the tenant has: booked, less what is used and not booked yet.

    What running calls hold counts as there: most of it comes back, and nobody shall be charged
    for a burst of large holds. In the tenant's schema.
    """
    try:
        sync_gate(tenant_code)
        known = gate.read(tenant_code)
    except RedisDownError:
        known = None
    # Without the gate captures are booked at once.
    return known.posted - known.unsettled if known else credit_account().balance_nusd
