"""A tenant's standing in Redis: what admission and the look-up of keys read.

One hash per tenant, `{pNN}:tenant:<code>`: `suspended` (the reason; empty: in good
standing), `limits`, `shrink_to_fit`, `cache_ttl_s` and `version`. Rebuilt from the tenant's row
when it is missing.
"""

from dataclasses import dataclass

import orjson

from agentflare.partitions import tenant_key
from agentflare.redis_store import get_redis
from tenants.limits import Limits
from tenants.registry.models import Tenant

# Versions only rise, so a slow reader of an old row cannot undo a suspension.
_PUBLISH = """
local current = tonumber(redis.call('HGET', KEYS[1], 'version') or '-1')
if tonumber(ARGV[5]) >= current then
    redis.call('HSET', KEYS[1], 'suspended', ARGV[1], 'limits', ARGV[2], 'shrink_to_fit', ARGV[3],
               'cache_ttl_s', ARGV[4], 'version', ARGV[5])
end
"""
FIELDS = ("suspended", "limits", "shrink_to_fit", "cache_ttl_s")


@dataclass(frozen=True, slots=True)
class Standing:
    """suspended: the reason; empty while the tenant is served."""

    suspended: str
    limits: Limits
    shrink_to_fit: bool
    cache_ttl_s: int


def status_key(tenant_code: str) -> str:
    return tenant_key(tenant_code, f"tenant:{tenant_code}")


def standing_of(tenant: Tenant) -> Standing:
    reason = ""
    if tenant.is_suspended:
        reason = tenant.suspension_reason or "No reason was given."
    elif tenant.closed:
        reason = "Its owner has closed it, and can open it again in the dashboard."
    return Standing(reason, tenant.limits, tenant.shrink_to_fit, tenant.cache_ttl_s)


def publish(tenant: Tenant, standing: Standing | None = None) -> None:
    """Tell Redis the tenant's standing. Repeats and late comers change nothing.

    standing: where the caller has made it already.
    """
    standing = standing or standing_of(tenant)
    get_redis().eval(
        _PUBLISH,
        1,
        status_key(tenant.code),
        standing.suspended,
        orjson.dumps(standing.limits.as_list()),
        "1" if standing.shrink_to_fit else "",
        standing.cache_ttl_s,
        tenant.status_version,
    )


def parse(values: list[str | None]) -> Standing | None:
    """The values of FIELDS as Redis has them; None for a hash that is missing or older."""
    suspended, limits, shrink_to_fit, cache_ttl_s = values
    if suspended is None or limits is None or cache_ttl_s is None:
        return None
    limits_now = Limits.of(orjson.loads(limits))
    return Standing(suspended, limits_now, bool(shrink_to_fit), int(cache_ttl_s))
