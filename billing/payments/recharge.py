"""Auto-recharge: one charge of the saved card for each time that the balance is low.

A recharge is a pending row first, and there can be only one (a unique index says so). Whether it
is due is decided under the account's lock, by a balance that has all credit of earlier ones: a
top-up is credited under the same lock. Then the card is charged under the row's idempotency key.
"""

import logging
from typing import Any
from uuid import UUID

import stripe
from django.db import transaction
from django.db.models import F, Q, Sum
from django.utils import timezone

from billing.payments import mails
from billing.payments.accounts import lock_account
from billing.payments.amounts import quote
from billing.payments.facts import note_in
from billing.payments.models import BillingAccount, Dispute, TopUp
from billing.payments.opened import close_if_over, open_payment
from billing.payments.recharging import drop_waiting, note_failed_recharge
from billing.payments.sync import sync_payment, tell_servers
from billing.payments.watch import left_nusd, watch
from billing.stripe.client import REFUSED, client, is_set_up, once, words_of
from billing.stripe.index import remember
from billing.stripe.models import OpenPayment
from tenants.audit import services as audit
from tenants.registry.models import Tenant
from tenants.registry.schemas import tenant_schema

logger = logging.getLogger(__name__)
_ACTOR = "auto-recharge"


def change_auto_recharge(
    *,
    tenant: Tenant,
    enabled: bool,
    threshold_nusd: int,
    amount_cents: int,
    cap_cents: int,
    actor: str,
) -> None:
    """Keep the settings; a change begins anew after failures."""
    with tenant_schema(tenant.code), transaction.atomic():
        account = lock_account()
        account.auto_enabled = enabled and account.has_card
        account.auto_threshold_nusd = threshold_nusd
        account.auto_amount_cents, account.auto_cap_cents = amount_cents, cap_cents
        if not account.auto_enabled:
            drop_waiting("Not confirmed; auto-recharge was switched off.")
        if not account.auto_enabled or account.auto_state != BillingAccount.AutoState.NEEDS_ACTION:
            account.reset_auto()
        account.save()
        watch(tenant.code, account)
        audit.record(
            actor=actor,
            action="auto_recharge.changed",
            enabled=account.auto_enabled,
            threshold_nusd=str(threshold_nusd),
            amount_cents=amount_cents,
            cap_cents=cap_cents,
        )


def recharge_if_low(tenant: Tenant) -> TopUp | None:
    """Charge the saved card if that is due. Returns the top-up that this call began.

    Safe to run at any time, by any number of workers. Raises Stripe's errors where it is not
    known what came of it: `resume_recharge` finds out.
    """
    if not is_set_up() or tenant.is_suspended or tenant.closed:
        return None
    with tenant_schema(tenant.code):
        top_up = _begin(tenant)
        if top_up is not None:
            charge(tenant, top_up)
    return top_up


def _begin(tenant: Tenant) -> TopUp | None:
    """The pending row, if a recharge is due."""
    with transaction.atomic():
        account = lock_account()
        now = timezone.now()
        if not account.may_recharge(now):
            return None
        if TopUp.objects.filter(kind=TopUp.Kind.AUTO, status__in=TopUp.OPEN).exists():
            return None
        if Dispute.objects.filter(outcome=Dispute.Outcome.OPENED).exists():
            # Its holder may not know of the charges: no more of them before the bank has decided.
            return None
        if left_nusd(tenant.code) >= account.auto_threshold_nusd:
            return None
        sums = quote(account.auto_amount_cents)
        if charged_this_month() + sums.total_cents > account.auto_cap_cents:
            _note_cap(tenant, account)
            return None
        if account.auto_state == BillingAccount.AutoState.CAPPED:
            account.reset_auto()
            account.save()
        top_up = TopUp.objects.create(
            kind=TopUp.Kind.AUTO,
            credit_cents=sums.credit_cents,
            fee_cents=sums.fee_cents,
            tax_cents=sums.tax_cents,
            payment_method_id=account.payment_method_id,
            card_brand=account.card_brand,
            card_last4=account.card_last4,
            created_by=_ACTOR,
        )
        open_payment(OpenPayment.Kind.TOP_UP, top_up.pk, tenant.code)
    return top_up


def _note_cap(tenant: Tenant, account: BillingAccount) -> None:
    """Told once, until it has recharged again."""
    if account.auto_state != BillingAccount.AutoState.CAPPED:
        account.auto_state = BillingAccount.AutoState.CAPPED
        account.save()
        mails.tell_recharge_capped(tenant, account)


def charged_this_month() -> int:
    """What auto-recharge has charged in this UTC month, or may be charging, in cents."""
    start = timezone.now().replace(day=1, hour=0, minute=0, second=0, microsecond=0)
    # One that was begun before midnight and charged after it counts in both months.
    total = TopUp.objects.filter(
        Q(created_at__gte=start) | Q(credited_at__gte=start),
        kind=TopUp.Kind.AUTO,
        status__in=(*TopUp.OPEN, TopUp.Status.CREDITED, TopUp.Status.MISMATCH),
    ).aggregate(sum=Sum(F("credit_cents") + F("fee_cents") + F("tax_cents")))
    return int(total["sum"] or 0)


def charge(tenant: Tenant, top_up: TopUp) -> None:
    """Charge the card for a pending row, and take over what came of it. In the tenant's schema.

    Its idempotency key is the row's, so it may be sent again until an answer comes.
    """
    customer_id = BillingAccount.objects.get(pk=1).customer_id
    try:
        intent = client().payment_intents.create(
            {
                "amount": top_up.total_cents,
                "currency": top_up.currency,
                "customer": customer_id,
                "payment_method": top_up.payment_method_id,
                "allowed_payment_method_types": ["card"],
                "confirm": True,
                "off_session": True,
                "description": f"AgentFlare credit, auto-recharge {top_up.pk}",
                "metadata": {"tenant": tenant.code, "top_up": str(top_up.pk)},
            },
            once("top_up", top_up.pk, "charge"),
        )
        intent_id = intent.id
    except REFUSED as exc:
        logger.info("Recharge %s of %s: %s", top_up.pk, tenant.slug, exc)
        intent_id = _intent_in(exc)
        if not intent_id:
            _note_refusal(tenant, top_up.pk, exc)
            return
    remember(intent_id, tenant.code, top_up.pk)
    sync_payment(intent_id)


def _intent_in(exc: stripe.StripeError) -> str:
    intent = getattr(exc.error, "payment_intent", None) if exc.error else None
    return intent.id if intent else ""


def _note_refusal(tenant: Tenant, top_up_id: UUID, exc: stripe.StripeError) -> None:
    """Stripe has refused before there was any payment: the card is gone, say."""
    with transaction.atomic():
        account = lock_account()
        top_up = TopUp.objects.select_for_update().get(pk=top_up_id)
        if top_up.status != TopUp.Status.PENDING:
            return
        top_up.failure_code, top_up.failure = (exc.code or "")[:60], words_of(exc)
        note_failed_recharge(account, top_up, needs_holder=False)
        top_up.save()
        account.save()
        watch(tenant.code, account)
        close_if_over(top_up)
        tell_servers(tenant, top_up)
        mails.tell_recharge_failed(tenant, account, top_up)


def resume_recharge(tenant: Tenant, top_up: TopUp) -> None:
    """Find out what came of a charge whose answer got lost, or charge now. In the tenant's schema.

    Stripe forgets idempotency keys after a day or more: first it is asked what it has.
    """
    customer_id = BillingAccount.objects.get(pk=1).customer_id
    known = _find_intent(customer_id, top_up)
    if known is None:
        if _is_wanted(tenant, top_up):
            charge(tenant, top_up)
        return
    remember(known.id, tenant.code, top_up.pk)
    sync_payment(known.id)


def _is_wanted(tenant: Tenant, top_up: TopUp) -> bool:
    """Whether a charge that never reached Stripe is still to be made; if not, it is over.

    Should it reach Stripe after all, it is credited like any other.
    """
    with transaction.atomic():
        account = lock_account()
        if (
            not (tenant.is_suspended or tenant.closed)
            and account.auto_enabled
            and account.payment_method_id == top_up.payment_method_id
            and left_nusd(tenant.code) < account.auto_threshold_nusd
        ):
            return True
        row = TopUp.objects.select_for_update().get(pk=top_up.pk)
        if row.status == TopUp.Status.PENDING:
            row.status = TopUp.Status.FAILED
            row.failure = "Stripe did not answer, and it is not needed any more."
            row.version += 1
            row.save()
            close_if_over(row)
    return False


def _find_intent(customer_id: str, top_up: TopUp) -> Any:
    since = int(top_up.created_at.timestamp()) - 300
    found = client().payment_intents.list(
        {"customer": customer_id, "created": {"gte": since}, "limit": 100}
    )
    for intent in found.auto_paging_iter():
        if note_in(intent, "top_up") == str(top_up.pk):
            return intent
    return None
