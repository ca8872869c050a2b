"""A tenant's standing in Redis: what admission and the look-up of keys read.

One hash per tenant, `{pNN}:tenant:<code>`: `suspended` (the reason; empty: in good
standing) and `version`. Rebuilt from the tenant's row when it is missing.
"""

from agentflare.partitions import tenant_key
from agentflare.redis_store import get_redis
from tenants.registry.models import Tenant

# Versions only rise, so a slow reader of an old row cannot undo a suspension.
_PUBLISH = """
local current = tonumber(redis.call('HGET', KEYS[1], 'version') or '-1')
if tonumber(ARGV[2]) >= current then
    redis.call('HSET', KEYS[1], 'suspended', ARGV[1], 'version', ARGV[2])
end
"""


def status_key(tenant_code: str) -> str:
    return tenant_key(tenant_code, f"tenant:{tenant_code}")


def publish(tenant: Tenant) -> None:
    """Tell Redis the tenant's standing. Repeats and late comers change nothing."""
    reason = ""
    if tenant.is_suspended:
        reason = tenant.suspension_reason or "No reason was given."
    get_redis().eval(_PUBLISH, 1, status_key(tenant.code), reason, tenant.status_version)
