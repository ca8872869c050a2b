"""A member's own key of the playground: an API key that has no secret.

Pages call with it on behalf of the member who is signed in, so that such calls are limited, held
and booked like any other, and known as this member's. What would be its secret is thrown away as
it is made: no program can use it.
"""

from django.db import IntegrityError, transaction

from agentflare import errors
from tenants.audit import services as audit
from tenants.audit.services import Actor
from tenants.keys.format import key_prefix, make_key, parse_key
from tenants.keys.lookup import KeyRecord
from tenants.keys.models import ApiKey, Scope
from tenants.keys.settings import MAX_NAME_LENGTH
from tenants.registry import status
from tenants.registry.models import Tenant
from tenants.registry.schemas import tenant_schema
from tenants.users.models import User


def playground_record(*, tenant: Tenant, member: User, actor: Actor) -> KeyRecord:
    """Whom a call from the playground is made by. The first one makes the member's key.

    member: whether they belong to the tenant is the caller's to check, for every call. A key that
    was revoked, as when a member is removed, is followed by a new one once they may call again.
    Raises TenantSuspendedError, or InvalidApiKeyError for a key that has expired.
    """
    standing = status.standing_of(tenant)
    if standing.suspended:
        raise errors.TenantSuspendedError(f"This account is suspended: {standing.suspended}")
    with tenant_schema(tenant.code):
        row = _find(member) or _make(tenant, member, actor)
    if row.is_expired:
        raise errors.InvalidApiKeyError(
            "Your playground's key has expired. Whoever manages API keys can change its expiry."
        )
    return KeyRecord.of(row, tenant.code, standing)


def _find(member: User) -> ApiKey | None:
    return ApiKey.objects.filter(
        source=ApiKey.Source.PLAYGROUND, member_id=member.pk, revoked_at=None
    ).first()


def _make(tenant: Tenant, member: User, actor: Actor) -> ApiKey:
    parts = parse_key(make_key(tenant.code))
    assert parts is not None
    try:
        with transaction.atomic():
            row = ApiKey.objects.create(
                key_id=parts.key_id,
                line_id=parts.key_id,
                name=f"Playground ({member.email})"[:MAX_NAME_LENGTH],
                prefix=key_prefix(tenant.code, parts.key_id),
                digest=parts.digest,
                created_by=actor.name,
                member_id=member.pk,
                source=ApiKey.Source.PLAYGROUND,
                scopes=[str(Scope.INFERENCE)],
            )
            audit.record(
                actor=actor, action="api_key.created", subject=row.prefix, source=row.source
            )
    except IntegrityError:
        # Two calls at once: the other one has made it.
        found = _find(member)
        if found is None:
            raise
        return found
    return row
