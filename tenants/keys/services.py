"""An API key's life: made, used, revoked. Call these inside the tenant's schema."""

from django.db import transaction
from django.utils import timezone

from tenants.audit import services as audit
from tenants.keys import lookup
from tenants.keys.format import key_prefix, make_key, parse_key
from tenants.keys.models import ApiKey
from tenants.registry.models import Tenant
from tenants.registry.schemas import tenant_schema

# What AI Gateway takes: a minute to a month.
CACHE_TTL_S = range(60, 2_592_001)


def create_api_key(
    *, tenant: Tenant, name: str, actor: str, cache_ttl_s: int = 0
) -> tuple[ApiKey, str]:
    """Make a key. Returns its row and the key itself, which nobody can see again.

    cache_ttl_s: how old an answer from AI Gateway's cache may be for calls that do not say;
        60 to 2,592,000, or 0 for no cache. Raises ValueError for anything else.
    """
    if cache_ttl_s and cache_ttl_s not in CACHE_TTL_S:
        raise ValueError(f"from {CACHE_TTL_S[0]} to {CACHE_TTL_S[-1]} seconds, or 0 for no cache")
    key = make_key(tenant.code)
    parts = parse_key(key)
    assert parts is not None
    with tenant_schema(tenant.code), transaction.atomic():
        row = ApiKey.objects.create(
            key_id=parts.key_id,
            name=name,
            prefix=key_prefix(tenant.code, parts.key_id),
            digest=parts.digest,
            created_by=actor,
            cache_ttl_s=cache_ttl_s,
        )
        audit.record(actor=actor, action="api_key.created", subject=row.prefix, name=name)
    return row, key


def list_api_keys(*, tenant: Tenant) -> list[ApiKey]:
    """All keys, newest first, revoked ones too."""
    with tenant_schema(tenant.code):
        return list(ApiKey.objects.all())


def revoke_api_key(*, tenant: Tenant, key_id: str, actor: str) -> ApiKey:
    """End a key, in every process within a second. A repeat changes nothing.

    Raises ApiKey.DoesNotExist. When Redis is down the key is revoked in PostgreSQL and
    the call raises: repeat it. Left alone, it takes effect within a minute.
    """
    with tenant_schema(tenant.code):
        with transaction.atomic():
            row = ApiKey.objects.select_for_update().get(key_id=key_id)
            if row.revoked_at is None:
                row.revoked_at = timezone.now()
                row.save(update_fields=["revoked_at"])
                audit.record(actor=actor, action="api_key.revoked", subject=row.prefix)
        # After the commit: whoever reads the row from now on sees it revoked, and
        # whoever read it before cannot overwrite this.
        lookup.tombstone(tenant_code=tenant.code, key_id=key_id)
    return row
