"""From a key to its tenant: memory, then Redis, then PostgreSQL.

Revocation and suspension take effect everywhere within settings.API_KEY_MEMORY_S, the time
a process believes what it has looked up. A record in Redis is read again from PostgreSQL once
a minute, so a revocation that Redis missed heals; while PostgreSQL is down the record stands.
While Redis is down PostgreSQL is asked.
"""

import time
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field, replace

import orjson
from django.conf import settings
from django.db import InterfaceError, OperationalError

from agentflare import errors, served
from agentflare.connections import patiently
from agentflare.partitions import partition_key, partition_of, tenant_key
from agentflare.redis_store import RedisDownError, get_redis
from tenants.keys.format import KeyParts, key_prefix, parse_key
from tenants.keys.models import ApiKey, Scope
from tenants.limits import NO_BUDGETS, NO_LIMITS, Budgets, Limits
from tenants.registry import status
from tenants.registry.models import Tenant
from tenants.registry.schemas import tenant_schema
from tenants.registry.status import Standing

# In Redis in a record's place: this, and the revoked key's digest.
_REVOKED = "revoked"
# A tombstone set since the row was read must win.
_SET_UNLESS_REVOKED = """
local there = redis.call('GET', KEYS[1])
if not there or string.sub(there, 1, #ARGV[3]) ~= ARGV[3] then
    redis.call('SET', KEYS[1], ARGV[1], 'EX', ARGV[2])
end
"""
# The form of a record in Redis; one of another release is read anew.
_FORM = "2"
# Entries of a process' memory: half a second of distinct keys.
_MEMORY_SIZE = 20_000


@dataclass(frozen=True, slots=True)
class KeyRecord:
    """Who calls: all that a request needs to know of its key, and of its tenant.

    ai_models: names it may call; empty: all. ip_ranges: CIDRs it may be used from; empty: any.
    limits, ai_model_limits: of this key, and of this key at one model; tenant_limits: of all
    the tenant's keys together. expires_at: seconds since 1970. suspended: why its tenant is not
    served; empty: it is.
    """

    tenant_code: str
    key_id: str
    name: str
    # Keys that took each other's place share limits and budgets: the id of the first of them.
    line_id: str = ""
    # How old an answer from the cache may be, where a request says nothing; None: as the tenant
    # says.
    own_cache_ttl_s: int | None = None
    tenant_cache_ttl_s: int = 0
    scopes: frozenset[str] = frozenset({Scope.INFERENCE})
    ai_models: frozenset[str] = frozenset()
    ip_ranges: tuple[str, ...] = ()
    expires_at: float | None = None
    limits: Limits = NO_LIMITS
    ai_model_limits: Mapping[str, Limits] = field(default_factory=dict)
    budgets: Budgets = NO_BUDGETS
    tenant_limits: Limits = NO_LIMITS
    shrink_to_fit: bool = False
    is_revoked: bool = False
    suspended: str = ""

    def require_usable(self) -> None:
        """Raises InvalidApiKeyError, TenantSuspendedError or, in an upgrade,
        ServiceUnavailableError."""
        served.require(self.tenant_code)
        if self.is_revoked:
            raise errors.InvalidApiKeyError("This API key has been revoked.")
        if self.suspended:
            raise errors.TenantSuspendedError(f"This account is suspended: {self.suspended}")
        if self.expires_at is not None and self.expires_at <= time.time():
            raise errors.InvalidApiKeyError("This API key has expired.")

    @property
    def cache_ttl_s(self) -> int:
        own = self.own_cache_ttl_s
        return self.tenant_cache_ttl_s if own is None else own

    @property
    def prefix(self) -> str:
        return key_prefix(self.tenant_code, self.key_id)

    @classmethod
    def of(cls, row: ApiKey, tenant_code: str, standing: Standing) -> "KeyRecord":
        return cls(
            tenant_code=tenant_code,
            key_id=row.key_id,
            name=row.name,
            line_id=row.line_id or row.key_id,
            own_cache_ttl_s=row.cache_ttl_s,
            tenant_cache_ttl_s=standing.cache_ttl_s,
            scopes=frozenset(row.scopes),
            ai_models=frozenset(row.ai_models),
            ip_ranges=tuple(row.ip_ranges),
            expires_at=row.expires_at.timestamp() if row.expires_at else None,
            limits=row.own_limits,
            ai_model_limits=row.limits_by_ai_model,
            budgets=row.budgets,
            tenant_limits=standing.limits,
            shrink_to_fit=standing.shrink_to_fit,
            is_revoked=row.revoked_at is not None,
            suspended=standing.suspended,
        )

    def dumps(self, digest: str) -> bytes:
        """What Redis keeps of it: all but what is the tenant's."""
        return orjson.dumps(
            [
                _FORM,
                digest,
                time.time(),
                self.name,
                self.line_id,
                self.own_cache_ttl_s,
                sorted(self.scopes),
                sorted(self.ai_models),
                self.ip_ranges,
                self.expires_at,
                self.limits.as_list(),
                {name: limits.as_list() for name, limits in self.ai_model_limits.items()},
                self.budgets.as_list(),
            ]
        )


@dataclass(frozen=True, slots=True)
class _Kept:
    """A record as Redis has it, and when it was read from its row."""

    record: KeyRecord
    digest: str
    read_at: float

    @classmethod
    def loads(cls, text: str, parts: KeyParts, standing: Standing) -> "_Kept | None":
        """None for what another release has written."""
        form, *fields = orjson.loads(text)
        if form != _FORM:
            return None
        digest, read_at, name, line_id, cache_ttl_s, scopes, ai_models, ip_ranges, *rest = fields
        expires_at, limits, ai_model_limits, budgets = rest
        record = KeyRecord(
            tenant_code=parts.tenant_code,
            key_id=parts.key_id,
            name=name,
            line_id=line_id,
            own_cache_ttl_s=cache_ttl_s,
            tenant_cache_ttl_s=standing.cache_ttl_s,
            scopes=frozenset(scopes),
            ai_models=frozenset(ai_models),
            ip_ranges=tuple(ip_ranges),
            expires_at=expires_at,
            limits=Limits.of(limits),
            ai_model_limits={name: Limits.of(each) for name, each in ai_model_limits.items()},
            budgets=Budgets.of(budgets),
            tenant_limits=standing.limits,
            shrink_to_fit=standing.shrink_to_fit,
            suspended=standing.suspended,
        )
        return cls(record, digest, read_at)


_memory: dict[str, tuple[float, KeyRecord]] = {}
# Tenant code and key id → until when its use is noted.
_noted: dict[str, float] = {}
# Keys that nobody made, so that asking again and again costs PostgreSQL nothing.
_refused: dict[str, float] = {}


def resolve_key(key: str) -> KeyRecord:
    """The record of a valid key of a tenant in good standing.

    Raises InvalidApiKeyError or TenantSuspendedError. Where it may be used from, and for what,
    is the caller's to check.
    """
    record = find_key(key)
    record.require_usable()
    return record


def find_key(key: str) -> KeyRecord:
    """The record of a key that somebody made, usable or not.

    Raises InvalidApiKeyError where nobody did.
    """
    parts = parse_key(key)
    record = find_by_parts(parts) if parts else None
    if record is None:
        raise _incorrect(key)
    return record


def find_by_parts(parts: KeyParts) -> KeyRecord | None:
    """As find_key, of a key of which its digest alone is known."""
    now = time.monotonic()
    remembered = _memory.get(parts.digest)
    if remembered and remembered[0] > now:
        return remembered[1]
    if _refused.get(parts.digest, 0) > now:
        return None
    record = _look_up(parts)
    if record is None:
        _remember_refused(parts.digest, until=now + settings.API_KEY_MEMORY_S)
        return None
    # Whoever may be served again is served at once.
    if not record.suspended:
        _remember(parts.digest, record, until=now + settings.API_KEY_MEMORY_S)
    return record


def find_anew(record: KeyRecord) -> KeyRecord:
    """As its rows say now, whatever is remembered: for work that goes on for long.

    One that stands for no key (a member's own calls) keeps what it may do, as its tenant stands.
    Raises InvalidApiKeyError where its tenant is deleted, or PostgreSQL's errors.
    """
    tenant = Tenant.objects.select_related("plan").filter(code=record.tenant_code).first()
    if tenant is None:
        raise errors.InvalidApiKeyError("This API key is not there any more.")
    standing = status.standing_of(tenant)
    with tenant_schema(tenant.code):
        row = ApiKey.objects.filter(key_id=record.key_id).first()
    if row is None:
        return replace(record, suspended=standing.suspended, tenant_limits=standing.limits)
    return KeyRecord.of(row, tenant.code, standing)


def tombstone(*, tenant_code: str, row: ApiKey) -> None:
    """Tell every process that the key is revoked. Repeats change nothing."""
    name = _redis_key(tenant_code, row.key_id)
    get_redis().set(name, _REVOKED + row.digest, ex=settings.API_KEY_CACHE_S)


def forget_all() -> None:
    """Empty this process' memory."""
    _memory.clear()
    _refused.clear()
    _noted.clear()


def _remember(digest: str, record: KeyRecord, *, until: float) -> None:
    if len(_memory) >= _MEMORY_SIZE:
        _memory.clear()
    _memory[digest] = (until, record)


def note_use(record: KeyRecord, *, ip: str) -> None:
    """When and from where a key was used: once per API_KEY_MEMORY_S, process and key.

    A task takes it to PostgreSQL.
    """
    now = time.monotonic()
    noted = f"{record.tenant_code}:{record.key_id}"
    if _noted.get(noted, 0) > now:
        return
    if len(_noted) >= _MEMORY_SIZE:
        _noted.clear()
    _noted[noted] = now + settings.API_KEY_MEMORY_S
    use = f"{time.time():.3f} {ip}"
    # Not worth a call that can be served without Redis.
    with suppress(*RedisDownError):
        get_redis().hset(last_used_key(partition_of(record.tenant_code)), noted, use)


def _remember_refused(digest: str, *, until: float) -> None:
    if len(_refused) >= _MEMORY_SIZE:
        _refused.clear()
    _refused[digest] = until


def _look_up(parts: KeyParts) -> KeyRecord | None:
    try:
        record, is_fresh = _from_redis(parts)
    except RedisDownError:
        record, is_fresh = None, False
    if record and is_fresh:
        return record
    try:
        return patiently(lambda: _from_postgresql(parts))
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
    pipeline.hmget(status.status_key(parts.tenant_code), status.FIELDS)
    cached, values = pipeline.execute()
    if cached == _REVOKED + parts.digest:
        return KeyRecord(parts.tenant_code, parts.key_id, name="", is_revoked=True), True
    standing = status.parse(values)
    if cached is None or standing is None or cached.startswith(_REVOKED):
        return None, False
    kept = _Kept.loads(cached, parts, standing)
    if kept is None or kept.digest != parts.digest:
        return None, False
    return kept.record, time.time() - kept.read_at < settings.API_KEY_REFRESH_S


def _from_postgresql(parts: KeyParts) -> KeyRecord | None:
    tenant = Tenant.objects.select_related("plan").filter(code=parts.tenant_code).first()
    if tenant is None:
        return None
    served.require(tenant.code)  # else this code may not even read the key
    standing = status.standing_of(tenant)
    with suppress(*RedisDownError):
        status.publish(tenant, standing)
    with tenant_schema(tenant.code):
        row = ApiKey.objects.filter(key_id=parts.key_id).first()
    if row is None or row.digest != parts.digest:
        return None
    record = KeyRecord.of(row, tenant.code, standing)
    with suppress(*RedisDownError):
        if record.is_revoked:
            tombstone(tenant_code=tenant.code, row=row)
        else:
            _keep(record, row.digest)
    return record


def publish(row: ApiKey, *, tenant: Tenant) -> None:
    """Tell every process what a key may do, as its row says. Repeats change nothing."""
    _keep(KeyRecord.of(row, tenant.code, status.standing_of(tenant)), row.digest)


def _keep(record: KeyRecord, digest: str) -> None:
    get_redis().eval(
        _SET_UNLESS_REVOKED,
        1,
        _redis_key(record.tenant_code, record.key_id),
        record.dumps(digest),
        settings.API_KEY_CACHE_S,
        _REVOKED,
    )


def last_used_key(partition: int) -> str:
    """Hash: `<tenant code>:<key id>` → when and from where it was last used."""
    return partition_key(partition, "keys_in_use")


def _redis_key(tenant_code: str, key_id: str) -> str:
    return tenant_key(tenant_code, f"key:{tenant_code}:{key_id}")


def _incorrect(key: str) -> errors.InvalidApiKeyError:
    shown = f"{key[:6]}…{key[-4:]}" if len(key) > 20 else "(too short)"
    return errors.InvalidApiKeyError(
        f"Incorrect API key provided: {shown}. You can find your API keys in the dashboard."
    )
