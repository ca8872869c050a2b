"""What happens when a balance falls: a mail, a recharge."""

from django.db import transaction
from django.utils import timezone

from billing.ledger.models import JournalEntry
from billing.payments import mails
from billing.payments.accounts import billing_account, lock_account
from billing.payments.recharge import recharge_if_low
from billing.payments.watch import left_nusd, watch
from billing.stripe.models import BalanceWatch
from tenants.audit import services as audit
from tenants.registry.models import Tenant
from tenants.registry.schemas import tenant_schema
from tenants.webhooks.outbox import emit

_CREDIT_COMES = (JournalEntry.Kind.TOP_UP, JournalEntry.Kind.GRANT)


def change_alert(*, tenant: Tenant, alert_nusd: int | None, actor: str) -> None:
    """Tell by mail when less than this is left; None: never."""
    with tenant_schema(tenant.code), transaction.atomic():
        account = lock_account()
        account.alert_nusd, account.alert_told_at = alert_nusd, None
        account.save()
        watch(tenant.code, account)
        audit.record(
            actor=actor,
            action="balance_alert.changed",
            alert_nusd=None if alert_nusd is None else str(alert_nusd),
        )


def look_after_balance(tenant: Tenant) -> None:
    """Recharge if that is due, and tell of a low balance, once for each fall.

    Safe to run at any time. Raises Stripe's errors.
    """
    try:
        recharge_if_low(tenant)
    finally:
        _alert(tenant)


def _alert(tenant: Tenant) -> None:
    with tenant_schema(tenant.code):
        _note_fall(tenant, left_nusd(tenant.code))


def _emit(tenant: Tenant, *, alert_nusd: int, left: int) -> None:
    """Once for each fall, though the alert may be set anew meanwhile: since credit came last."""
    came = JournalEntry.objects.filter(kind__in=_CREDIT_COMES).order_by("-id").first()
    emit(
        tenant_code=tenant.code,
        event="balance.low",
        cause=f"{alert_nusd}:{came.pk if came else 0}",
        data={"left_nusd": str(left), "alert_nusd": str(alert_nusd)},
    )


def _note_fall(tenant: Tenant, left: int) -> None:
    """Tell it, unless that was done; note it where the balance is high again."""
    account = billing_account()
    is_low = account.alert_nusd is not None and left < account.alert_nusd
    is_watched = is_low or (account.auto_enabled and left < account.auto_threshold_nusd)
    BalanceWatch.objects.filter(tenant_code=tenant.code).exclude(is_low=is_watched).update(
        is_low=is_watched
    )
    if is_low == (account.alert_told_at is not None):
        return
    with transaction.atomic():
        account = lock_account()
        was_told = account.alert_told_at is not None
        if account.alert_nusd is None or is_low == was_told:
            return
        account.alert_told_at = timezone.now() if is_low else None
        account.save(update_fields=["alert_told_at"])
        if is_low:
            _emit(tenant, alert_nusd=account.alert_nusd, left=left)
            mails.tell_low_balance(tenant, alert_nusd=account.alert_nusd, left_nusd=left)
