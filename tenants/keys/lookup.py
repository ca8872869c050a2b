"""From a key to its tenant: memory, then Redis, then PostgreSQL.

Revocation and suspension take effect everywhere within settings.API_KEY_MEMORY_S, the time
a process believes what it has looked up. A record in Redis is read again from PostgreSQL once
a minute, so a revocation that Redis missed heals; while PostgreSQL is down the record stands.
"""

import time
from dataclasses import dataclass

import orjson
from django.conf import settings
from django.db import InterfaceError, OperationalError

from agentflare import errors
from agentflare.partitions import partition_key, partition_of, tenant_key
from agentflare.redis_store import get_redis
from tenants.keys.format import KeyParts, key_prefix, parse_key
from tenants.keys.models import ApiKey
from tenants.registry import status
from tenants.registry.models import Tenant
from tenants.registry.schemas import tenant_schema

_REVOKED = "revoked"
# A tombstone set since the row was read must win.
_SET_UNLESS_REVOKED = """
if redis.call('GET', KEYS[1]) ~= ARGV[3] then
    redis.call('SET', KEYS[1], ARGV[1], 'EX', ARGV[2])
end
"""
# What a record in Redis consists of; one of another release is read anew.
_FIELDS = 4
# Entries of a process' memory: half a second of distinct keys.
_MEMORY_SIZE = 20_000


@dataclass(frozen=True, slots=True)
class KeyRecord:
    """Who calls: all that a request needs to know of its key."""

    tenant_code: str
    key_id: str
    name: str
    # How old an answer from the cache may be, where a request says nothing.
    cache_ttl_s: int = 0

    @property
    def prefix(self) -> str:
        return key_prefix(self.tenant_code, self.key_id)


_memory: dict[str, tuple[float, KeyRecord]] = {}
# Keys that nobody made, so that asking again and again costs PostgreSQL nothing.
_refused: dict[str, float] = {}


def resolve_key(key: str) -> KeyRecord:
    """The record of a valid key of a tenant in good standing.

    Raises InvalidApiKeyError or TenantSuspendedError.
    """
    parts = parse_key(key)
    if parts is None:
        raise _incorrect(key)
    now = time.monotonic()
    remembered = _memory.get(parts.digest)
    if remembered and remembered[0] > now:
        return remembered[1]
    if _refused.get(parts.digest, 0) > now:
        raise _incorrect(key)
    record = _look_up(parts)
    if record is None:
        _remember_refused(parts.digest, until=now + settings.API_KEY_MEMORY_S)
        raise _incorrect(key)
    _remember(parts.digest, record, until=now + settings.API_KEY_MEMORY_S)
    _note_use(record)
    return record


def tombstone(*, tenant_code: str, key_id: str) -> None:
    """Tell every process that the key is revoked. Repeats change nothing."""
    get_redis().set(_redis_key(tenant_code, key_id), _REVOKED, ex=settings.API_KEY_CACHE_S)


def forget_all() -> None:
    """Empty this process' memory."""
    _memory.clear()
    _refused.clear()


def _remember(digest: str, record: KeyRecord, *, until: float) -> None:
    if len(_memory) >= _MEMORY_SIZE:
        _memory.clear()
    _memory[digest] = (until, record)


def _note_use(record: KeyRecord) -> None:
    """Once per API_KEY_MEMORY_S and process; a task takes it to PostgreSQL."""
    member = f"{record.tenant_code}:{record.key_id}"
    get_redis().zadd(last_used_key(partition_of(record.tenant_code)), {member: time.time()})


def _remember_refused(digest: str, *, until: float) -> None:
    if len(_refused) >= _MEMORY_SIZE:
        _refused.clear()
    _refused[digest] = until


def _look_up(parts: KeyParts) -> KeyRecord | None:
    record, is_fresh = _from_redis(parts)
    if record and is_fresh:
        return record
    try:
        return _from_postgresql(parts)
    except (OperationalError, InterfaceError):
        if record is None:
            raise
        return record


def _from_redis(parts: KeyParts) -> tuple[KeyRecord | None, bool]:
    """The record, and whether it is young enough not to be read again.

    None: Redis does not know the key, or not its tenant's standing.
    """
    pipeline = get_redis().pipeline(transaction=False)
    pipeline.get(_redis_key(parts.tenant_code, parts.key_id))
    pipeline.hget(status.status_key(parts.tenant_code), "suspended")
    cached, suspended = pipeline.execute()
    if cached == _REVOKED:
        raise errors.InvalidApiKeyError("This API key has been revoked.")
    if cached is None or suspended is None:
        return None, False
    if suspended:
        raise _suspended(suspended)
    fields = orjson.loads(cached)
    if len(fields) != _FIELDS or fields[0] != parts.digest:
        return None, False
    _, name, cache_ttl_s, read_at = fields
    record = KeyRecord(parts.tenant_code, parts.key_id, name, cache_ttl_s=cache_ttl_s)
    return record, time.time() - read_at < settings.API_KEY_REFRESH_S


def _from_postgresql(parts: KeyParts) -> KeyRecord | None:
    tenant = Tenant.objects.filter(code=parts.tenant_code).first()
    if tenant is None:
        return None
    status.publish(tenant)
    with tenant_schema(tenant.code):
        row = ApiKey.objects.filter(key_id=parts.key_id).first()
    if row is None or row.digest != parts.digest:
        return None
    if not row.is_active:
        tombstone(tenant_code=tenant.code, key_id=row.key_id)
        raise errors.InvalidApiKeyError("This API key has been revoked.")
    get_redis().eval(
        _SET_UNLESS_REVOKED,
        1,
        _redis_key(tenant.code, row.key_id),
        orjson.dumps([row.digest, row.name, row.cache_ttl_s, time.time()]),
        settings.API_KEY_CACHE_S,
        _REVOKED,
    )
    if tenant.is_suspended:
        raise _suspended(tenant.suspension_reason)
    return KeyRecord(tenant.code, row.key_id, row.name, cache_ttl_s=row.cache_ttl_s)


def last_used_key(partition: int) -> str:
    """Sorted set: `<tenant code>:<key id>` by the time of its last use."""
    return partition_key(partition, "keys_used")


def _redis_key(tenant_code: str, key_id: str) -> str:
    return tenant_key(tenant_code, f"key:{tenant_code}:{key_id}")


def _incorrect(key: str) -> errors.InvalidApiKeyError:
    shown = f"{key[:6]}…{key[-4:]}" if len(key) > 20 else "(too short)"
    return errors.InvalidApiKeyError(
        f"Incorrect API key provided: {shown}. You can find your API keys in the dashboard."
    )


def _suspended(reason: str) -> errors.TenantSuspendedError:
    return errors.TenantSuspendedError(f"This account is suspended: {reason}")
