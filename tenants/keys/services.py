"""An API key's life: made, changed, rotated, revoked. Each leaves a line in the audit trail."""

from datetime import datetime, timedelta
from typing import Any

from django.db import transaction
from django.utils import timezone

from tenants.audit import services as audit
from tenants.audit.services import Actor
from tenants.keys import lookup
from tenants.keys.format import key_prefix, make_key, parse_key
from tenants.keys.models import ApiKey
from tenants.keys.settings import SETTINGS, KeySettingError, check_settings
from tenants.registry.models import Tenant
from tenants.registry.schemas import tenant_schema
from tenants.webhooks.outbox import emit

MAX_OVERLAP_S = 90 * 24 * 3600


class KeyEndedError(Exception):
    """The key has been revoked or has expired: it cannot be changed any more."""


def create_api_key(
    *, tenant: Tenant, name: str, actor: str | Actor, **settings: Any
) -> tuple[ApiKey, str]:
    """Make a key. Returns its row and the key itself, which nobody can see again.

    settings: see tenants.keys.settings; what is not given is as the model's defaults say.
    Raises KeySettingError, a ValueError; then there is no key.
    """
    checked = check_settings({"name": name, **settings})
    with tenant_schema(tenant.code), transaction.atomic():
        row, key = _insert(tenant, checked, actor)
        audit.record(
            actor=actor,
            action="api_key.created",
            subject=row.prefix,
            **{field: _plain(value) for field, value in checked.items()},
        )
        _emit(tenant, "key.created", row)
    return row, key


def list_api_keys(*, tenant: Tenant) -> list[ApiKey]:
    """All keys, newest first, revoked ones too."""
    with tenant_schema(tenant.code):
        return list(ApiKey.objects.all())


def get_api_key(*, tenant: Tenant, key_id: str) -> ApiKey:
    """Raises ApiKey.DoesNotExist."""
    with tenant_schema(tenant.code):
        return ApiKey.objects.get(key_id=key_id)


def update_api_key(*, tenant: Tenant, key_id: str, actor: str | Actor, **settings: Any) -> ApiKey:
    """Change what a key may do, in every process within a second.

    Raises ApiKey.DoesNotExist, KeyEndedError or KeySettingError; then nothing is changed. When
    Redis is down the change stands in PostgreSQL and the call raises: repeat it. Left alone, it
    takes effect within a minute.
    """
    checked = check_settings(settings)
    with tenant_schema(tenant.code):
        with transaction.atomic():
            row = _lock(key_id)
            changes = {
                field: [_plain(getattr(row, field)), _plain(value)]
                for field, value in checked.items()
                if getattr(row, field) != value
            }
            for field in changes:
                setattr(row, field, checked[field])
            if changes:
                row.save(update_fields=list(changes))
                audit.record(actor=actor, action="api_key.changed", subject=row.prefix, **changes)
        lookup.publish(row, tenant=tenant)
    return row


def rotate_api_key(
    *, tenant: Tenant, key_id: str, actor: str | Actor, overlap_s: int
) -> tuple[ApiKey, str]:
    """Make a key that takes another's place: with its settings, its limits and what is left of
    its budgets. Returns the new row and key.

    overlap_s: how long the old one works on, up to 90 days; 0: it is revoked at once.
    Raises ApiKey.DoesNotExist, KeyEndedError or KeySettingError.
    """
    if not 0 <= overlap_s <= MAX_OVERLAP_S:
        raise KeySettingError("overlap_s", f"from 0 to {MAX_OVERLAP_S} seconds")
    with tenant_schema(tenant.code):
        with transaction.atomic():
            old = _lock(key_id)
            if old.rotated_to:
                raise KeyEndedError("The API key has been rotated already.")
            if old.is_of_playground:
                raise KeyEndedError(
                    "This is a member's key of the playground: it has no secret to be rotated."
                )
            settings = {field: getattr(old, field) for field in SETTINGS}
            new, key = _insert(
                tenant,
                settings,
                actor,
                line_id=old.line_id or old.key_id,
                member_id=old.member_id,
            )
            ends_at = timezone.now() + timedelta(seconds=overlap_s)
            old.rotated_to = new.key_id
            old.expires_at = min(ends_at, old.expires_at or ends_at)
            if not overlap_s:
                old.revoked_at = ends_at
            old.save(update_fields=["rotated_to", "expires_at", "revoked_at"])
            audit.record(
                actor=actor,
                action="api_key.rotated",
                subject=old.prefix,
                to=new.prefix,
                ends_at=_plain(old.expires_at),
            )
            _emit(tenant, "key.created", new, takes_the_place_of=old.prefix)
            if not overlap_s:
                _emit(tenant, "key.revoked", old)
        _tell(old, tenant)
    return new, key


def revoke_api_key(*, tenant: Tenant, key_id: str, actor: str | Actor) -> ApiKey:
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
                _emit(tenant, "key.revoked", row)
        _tell(row, tenant)
    return row


def _insert(
    tenant: Tenant,
    settings: dict[str, Any],
    actor: str | Actor,
    *,
    line_id: str = "",
    member_id: int | None = None,
) -> tuple[ApiKey, str]:
    """member_id: whose it is where no person makes it."""
    key = make_key(tenant.code)
    parts = parse_key(key)
    assert parts is not None
    row = ApiKey.objects.create(
        key_id=parts.key_id,
        line_id=line_id or parts.key_id,
        prefix=key_prefix(tenant.code, parts.key_id),
        digest=parts.digest,
        created_by=actor.name if isinstance(actor, Actor) else actor,
        member_id=(actor.user_id if isinstance(actor, Actor) else None) or member_id,
        **settings,
    )
    return row, key


def _emit(tenant: Tenant, event: str, row: ApiKey, **more: str) -> None:
    data = {"id": row.key_id, "prefix": row.prefix, "name": row.name, **more}
    emit(tenant_code=tenant.code, event=event, cause=row.key_id, data=data)


def _lock(key_id: str) -> ApiKey:
    """Raises KeyEndedError for one that has ended."""
    row = ApiKey.objects.select_for_update().get(key_id=key_id)
    if not row.is_active:
        raise KeyEndedError("The API key has been revoked or has expired.")
    return row


def _tell(row: ApiKey, tenant: Tenant) -> None:
    """After the commit: whoever reads the row from now on sees it as it is, and whoever read
    it before cannot overwrite this."""
    if row.revoked_at is not None:
        lookup.tombstone(tenant_code=tenant.code, row=row)
    else:
        lookup.publish(row, tenant=tenant)


def _plain(value: Any) -> Any:
    """As the audit trail keeps it."""
    return value.isoformat() if isinstance(value, datetime) else value
