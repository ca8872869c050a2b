"""The gates made anew from a ledger that has gone back: a backup, or a point in time, was restored.

A gate takes the ledger's higher version and ignores a lower one. Of a ledger that has gone back it
would ignore everything, and lend by a balance that is no more. So it forgets what it was told; what
is held and what is not booked yet stays, for Redis has the calls themselves.
"""

from collections.abc import Iterable

from django.db import connection

from agentflare.redis_store import get_redis
from billing.admission import gate, outage
from billing.admission.models import FallbackHold
from billing.admission.warmth import warm_up
from billing.usage.budgets import sync_spend
from tenants.keys.models import ApiKey
from tenants.registry.models import Tenant
from tenants.registry.schemas import tenant_schema
from tenants.registry.status import status_key

_TOLD = ("posted", "version", "run")
_TOLD_OF_SPEND = ("life", "day_of", "day", "month_of", "month", "version", "run")
# Processes of before live no more, and what they admitted in PostgreSQL is told to this Redis.
_FORGET_PROCESSES = (
    "DELETE FROM admission_gateprocess",
    "DELETE FROM admission_countedsecond",
    "DELETE FROM admission_gatestanding",
)
_TAKE_OVER_HOLDS = "UPDATE admission_fallbackhold SET redis = %s WHERE tenant_code = %s"


def rebuild_gates(tenants: Iterable[Tenant]) -> int:
    """Make them from the ledger, whatever versions they were told. Returns how many.

    Call it while nothing is served. Repeats change nothing. Raises RedisDownError.
    """
    count = 0
    for tenant in tenants:
        rebuild_gate(tenant)
        count += 1
    return count


def rebuild_gate(tenant: Tenant) -> None:
    with tenant_schema(tenant.code):
        lines = {line or key_id for line, key_id in ApiKey.objects.values_list("line_id", "key_id")}
    spends = {line: gate.spend_key(tenant.code, line) for line in sorted(lines)}
    pipeline = get_redis().pipeline(transaction=False)
    # Its version has gone back with the tenant's row.
    pipeline.delete(status_key(tenant.code))
    pipeline.hdel(gate.gate_key(tenant.code), *_TOLD)
    for key in spends.values():
        pipeline.hdel(key, *_TOLD_OF_SPEND)
    pipeline.execute()
    warm_up(tenant.code)
    for line in spends:
        sync_spend(tenant.code, line)


def forget_processes() -> None:
    """In a database that was restored: none of the processes that it knows is alive."""
    with connection.cursor() as cursor:
        for statement in _FORGET_PROCESSES:
            cursor.execute(statement)
        for tenant_code in set(FallbackHold.objects.values_list("tenant_code", flat=True)):
            name = outage.redis_name(outage.part_of(tenant_code))
            cursor.execute(_TAKE_OVER_HOLDS, [name, tenant_code])
