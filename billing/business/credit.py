"""An operator gives credit, or takes it: asked for, agreed to, booked. Nobody edits a balance."""

import logging
from uuid import UUID

from django.conf import settings
from django.db import transaction
from django.utils import timezone

from agentflare.errors import ServiceUnavailableError
from agentflare.redis_store import RedisDownError
from billing.admission import reserves
from billing.business.models import CreditChange
from billing.ledger.models import AccountCode, JournalEntry
from billing.ledger.services import LedgerError, Line, lock_accounts, post_entry, sync_gate
from tenants.audit import services as audit
from tenants.audit.services import Actor
from tenants.operators.services import record
from tenants.registry.models import Tenant
from tenants.registry.schemas import tenant_schema

logger = logging.getLogger(__name__)
_PURPOSE = "credit taken back"


class CreditChangeError(Exception):
    """It cannot be, for the reason given. Nothing was booked."""


def ask(*, tenant: Tenant, amount_nusd: int, reason: str, actor: Actor) -> CreditChange:
    """Booked at once up to CREDIT_ALONE_NUSD; more waits for another operator.

    Raises CreditChangeError.
    """
    if not amount_nusd:
        raise CreditChangeError("Choose an amount above or below zero.")
    if not reason.strip():
        raise CreditChangeError("Say why: the tenant reads it.")
    with transaction.atomic():
        change = CreditChange.objects.create(
            tenant=tenant, amount_nusd=amount_nusd, reason=reason.strip(), asked_by=actor.name
        )
        _record(change, actor, "credit.asked")
    if abs(amount_nusd) > settings.CREDIT_ALONE_NUSD:
        return change
    try:
        return _book(change.pk, actor)
    except CreditChangeError:
        # Nobody waits for it.
        CreditChange.objects.filter(pk=change.pk, state=CreditChange.State.WAITING).delete()
        raise


def agree(change_id: UUID, *, actor: Actor) -> CreditChange:
    """A second operator agrees: it is booked. Raises CreditChangeError."""
    change = CreditChange.objects.get(pk=change_id)
    if change.asked_by == actor.name:
        raise CreditChangeError("Somebody else has to agree to it.")
    return _book(change_id, actor)


def refuse(change_id: UUID, *, actor: Actor) -> CreditChange:
    """Nothing is booked; who asked may take it back so, too. Raises CreditChangeError."""
    with transaction.atomic():
        change = _waiting(change_id)
        return _decide(change, CreditChange.State.REFUSED, actor)


def _book(change_id: UUID, actor: Actor) -> CreditChange:
    change = CreditChange.objects.select_related("tenant").get(pk=change_id)
    tenant_code = change.tenant.code
    if change.amount_nusd < 0:
        _hold(change)
    try:
        with transaction.atomic():
            change = _waiting(change_id)
            with tenant_schema(tenant_code):
                _post(change, actor)
            _decide(change, CreditChange.State.BOOKED, actor)
    except LedgerError as exc:
        _release_unless_booked(change)
        raise CreditChangeError(f"The ledger does not take it: {exc}.") from exc
    except BaseException:
        _release_unless_booked(change)
        raise
    try:
        _tell_gate(change)
    except RedisDownError:
        logger.warning("The gate was not told of credit change %s", change.pk)
    return change


def tell_gates() -> int:
    """Of what was booked when Redis, or our process, ended. Each minute: what is taken stays held
    for three. Returns how many. Raises RedisDownError.
    """
    untold = CreditChange.objects.filter(state=CreditChange.State.BOOKED, is_gate_told=False)
    changes = list(untold.select_related("tenant"))
    for change in changes:
        _tell_gate(change)
    return len(changes)


def _tell_gate(change: CreditChange) -> None:
    sync_gate(change.tenant.code)
    _release(change)
    CreditChange.objects.filter(pk=change.pk).update(is_gate_told=True)


def _hold(change: CreditChange) -> None:
    """What is taken must be there, and stay there until it is booked."""
    try:
        reserves.reserve(
            tenant_code=change.tenant.code,
            reserve_id=change.pk,
            amount_nusd=-change.amount_nusd,
            purpose=_PURPOSE,
        )
    except reserves.NotAvailableError as exc:
        raise CreditChangeError(
            "No more can be taken than is available: running calls hold the rest."
        ) from exc
    except (*RedisDownError, ServiceUnavailableError) as exc:
        raise CreditChangeError("Credit cannot be held now. Try again in a minute.") from exc


def _release(change: CreditChange) -> None:
    if change.amount_nusd >= 0:
        return
    try:
        reserves.release(tenant_code=change.tenant.code, reserve_id=change.pk)
    except RedisDownError:
        logger.warning("The hold of credit change %s ends by itself", change.pk)


def _release_unless_booked(change: CreditChange) -> None:
    """What somebody else has just booked stays held until the gate is told."""
    if not CreditChange.objects.filter(pk=change.pk, state=CreditChange.State.BOOKED).exists():
        _release(change)


def _waiting(change_id: UUID) -> CreditChange:
    """Locked. Raises CreditChangeError for one that was decided before."""
    rows = CreditChange.objects.select_for_update(of=("self",)).select_related("tenant")
    change = rows.get(pk=change_id)
    if change.state != CreditChange.State.WAITING:
        raise CreditChangeError(f"It is {change.get_state_display().lower()} already.")
    return change


def _post(change: CreditChange, actor: Actor) -> None:
    """In the tenant's schema."""
    amount = abs(change.amount_nusd)
    if change.amount_nusd > 0:
        kind, line = (
            JournalEntry.Kind.GRANT,
            Line(AccountCode.PROMOTION, AccountCode.CREDIT, amount),
        )
    else:
        lock_accounts([AccountCode.CREDIT, AccountCode.ADJUSTMENT])
        if not reserves.is_reserved(tenant_code=change.tenant.code, reserve_id=change.pk):
            raise CreditChangeError("This took too long, and nothing was taken. Try again.")
        kind, line = (
            JournalEntry.Kind.ADJUSTMENT,
            Line(AccountCode.CREDIT, AccountCode.ADJUSTMENT, amount),
        )
    post_entry(
        reference=f"operator:{change.pk.hex}",
        kind=kind,
        lines=[line],
        memo=change.reason,
        actor=change.asked_by,
    )
    audit.record(
        actor=actor,
        action="credit.granted" if change.amount_nusd > 0 else "credit.taken",
        subject=f"operator:{change.pk.hex}",
        amount_nusd=str(change.amount_nusd),
        reason=change.reason,
        asked_by=change.asked_by,
    )


def _decide(change: CreditChange, state: CreditChange.State, actor: Actor) -> CreditChange:
    change.state, change.decided_by, change.decided_at = state, actor.name, timezone.now()
    change.save(update_fields=["state", "decided_by", "decided_at"])
    _record(change, actor, f"credit.{state}")
    return change


def _record(change: CreditChange, actor: Actor, action: str) -> None:
    record(
        actor=actor,
        action=action,
        subject=change.tenant.slug,
        reason=change.reason,
        tenant=change.tenant,
        amount_nusd=str(change.amount_nusd),
        change=change.pk.hex,
    )
