"""Bringing top-ups, refunds, disputes and ledger to what Stripe has now.

Whoever hears of a payment (an event, the return page, a look after what is open) only says
*which* one. Its present state is fetched, and taken over under a lock if nobody else has taken
over a state since this fetch began; else it is fetched again. So a state never replaces a newer
one, and order, repeats and lateness of events do not matter.
"""

import logging
import random
import time
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

from django.db import transaction
from django.forms.models import model_to_dict
from django.utils import timezone

from billing.ledger.services import credit_account, sync_gate
from billing.payments import booking, mails
from billing.payments.accounts import lock_account, note_card
from billing.payments.facts import Facts, card_of, facts_of, intent_of, note_in
from billing.payments.models import BillingAccount, Dispute, TopUp
from billing.payments.opened import close_if_over, owe_invoice
from billing.payments.recharging import (
    drop_waiting,
    note_failed_recharge,
    stop_after_dispute,
)
from billing.payments.watch import watch
from billing.stripe.client import client
from billing.stripe.index import find, remember
from billing.stripe.models import KnownDispute, StripeObject
from tenants.audit import services as audit
from tenants.registry.models import Tenant
from tenants.registry.schemas import tenant_schema
from tenants.registry.selectors import TenantNotFoundError, tenant_by_code
from tenants.webhooks.outbox import emit

logger = logging.getLogger(__name__)
_TRIES = 8


class PaymentMismatchError(Exception):
    """A payment is not what was asked for: nothing is credited, and a person must look."""


class BusyPaymentError(Exception):
    """Others were quicker every time. Try again."""


@dataclass
class _News:
    """What is to be done once the changes stand."""

    mismatch: str = ""


def sync_payment(payment_intent_id: str) -> str | None:
    """Take over a payment's present state. Returns its tenant's code; None: it is not ours.

    Raises PaymentMismatchError, BusyPaymentError, Stripe's errors, and RedisDownError where
    the gate could not be told: do it again.
    """
    known = find(payment_intent_id) or _first_seen(payment_intent_id)
    if known is None:
        return None
    tenant = tenant_by_code(known.tenant_code)
    for _ in range(_TRIES):
        news = _take_over(tenant, UUID(known.ours), payment_intent_id)
        if news is not None:
            break
        time.sleep(random.uniform(0, 0.2))  # noqa: S311  # not to meet again
    else:
        raise BusyPaymentError(payment_intent_id)
    # Always: the one who booked may have died before it told the gate.
    sync_gate(tenant.code)
    if news.mismatch:
        logger.error("ALARM: %s of %s: %s", payment_intent_id, tenant.slug, news.mismatch)
        raise PaymentMismatchError(news.mismatch)
    return tenant.code


def _first_seen(payment_intent_id: str) -> StripeObject | None:
    """Whose is it? By what we wrote into it when it was asked for, and by its customer."""
    intent = intent_of(payment_intent_id)
    if intent.latest_charge and intent.latest_charge.refunded:
        # Paid back before we ever heard of it: nothing is left to do.
        return None
    code, ours = note_in(intent, "tenant"), note_in(intent, "top_up")
    owner = find(intent.customer)
    customer = owner.tenant_code if owner else None
    if intent.status != "succeeded" and (customer != code or not ours):
        # Nothing was paid: an invoice has an intent of its own, for one.
        return None
    if not code or not ours:
        if customer:
            raise PaymentMismatchError(
                f"{customer}'s customer {intent.customer} has paid {intent.id}, which we never "
                "asked for"
            )
        return None
    if customer != code:
        raise PaymentMismatchError(
            f"{intent.id} is for tenant {code}, and its customer {intent.customer} is of "
            f"{customer or 'nobody'}"
        )
    try:
        tenant = tenant_by_code(code)
        with tenant_schema(tenant.code):
            is_there = TopUp.objects.filter(pk=UUID(ours)).exists()
    except (TenantNotFoundError, ValueError):
        is_there = False
    if not is_there:
        raise PaymentMismatchError(f"{intent.id} names a top-up {ours} that {code} does not have")
    return remember(intent.id, tenant.code, ours)


def _take_over(tenant: Tenant, top_up_id: UUID, payment_intent_id: str) -> _News | None:
    """None: somebody else has taken over a state meanwhile."""
    with tenant_schema(tenant.code):
        seen = TopUp.objects.get(pk=top_up_id)
        facts = facts_of(payment_intent_id, seen, knows_refunds=seen.refunds.exists())
        with transaction.atomic():
            account = lock_account()
            top_up = TopUp.objects.select_for_update().get(pk=top_up_id)
            if top_up.version != seen.version:
                return None
            before, was = _state_of(top_up), top_up.status
            news = _apply(tenant, account, top_up, facts)
            # A state that changes nothing cannot be newer than another.
            top_up.version += _state_of(top_up) != before
            top_up.save()
            account.save()
            watch(tenant.code, account)
            close_if_over(top_up)
            if top_up.status != was:
                tell_servers(tenant, top_up)
    return news


def tell_servers(tenant: Tenant, top_up: TopUp) -> None:
    """Credited, or failed: once for each payment. One that needs its holder has failed so far."""
    events = {
        TopUp.Status.CREDITED: "top_up.credited",
        TopUp.Status.FAILED: "top_up.failed",
        TopUp.Status.NEEDS_ACTION: "top_up.failed",
    }
    event = events.get(TopUp.Status(top_up.status))
    if event is None:
        return
    data = {
        "id": str(top_up.pk),
        "kind": top_up.kind,
        "credit_nusd": str(top_up.credit_nusd),
        "failure": top_up.failure,
    }
    emit(tenant_code=tenant.code, event=event, cause=str(top_up.pk), data=data)


def _state_of(top_up: TopUp) -> list[Any]:
    """All that is taken over from Stripe."""
    rows = [top_up, *top_up.refunds.all(), *top_up.disputes.all()]
    return [model_to_dict(row, exclude=["version"]) for row in rows]


def _apply(tenant: Tenant, account: BillingAccount, top_up: TopUp, facts: Facts) -> _News:
    news = _News()
    if mismatch := _mismatch(tenant, account, top_up, facts):
        _note_mismatch(top_up, facts, mismatch, news)
        return news
    top_up.payment_intent_id = facts.intent.id
    if not facts.is_paid:
        _note_unpaid(tenant, account, top_up, facts)
        return news
    _note_papers(top_up, facts)
    if top_up.status != TopUp.Status.CREDITED:
        _credit(tenant, account, top_up, facts)
    for told in facts.refunds:
        booking.take_refund(top_up, told)
    for told in facts.disputes:
        dispute = booking.take_dispute(top_up, told)
        note_dispute(tenant, top_up, told)
        if dispute and dispute.outcome != Dispute.Outcome.WATCHED:
            logger.warning("%s: %s of %s is %s", tenant.slug, told.id, top_up, dispute.outcome)
            if dispute.outcome == Dispute.Outcome.LOST:
                stop_after_dispute(account)
            mails.tell_dispute(tenant, dispute)
    return news


def note_dispute(tenant: Tenant, top_up: TopUp, told: Any) -> None:
    """For the operator's list, which asks no tenant's schema. In the transaction of the change."""
    dispute = Dispute.objects.get(pk=told.id)
    due_by = getattr(getattr(told, "evidence_details", None), "due_by", None)
    KnownDispute.objects.update_or_create(
        stripe_id=dispute.stripe_id,
        defaults={
            "tenant_code": tenant.code,
            "top_up_id": top_up.pk,
            "payment_intent_id": top_up.payment_intent_id,
            "amount_cents": dispute.amount_cents,
            "credit_cents": dispute.credit_cents,
            "reason": dispute.reason,
            "stripe_status": dispute.stripe_status,
            "outcome": dispute.outcome,
            "answer_by": datetime.fromtimestamp(due_by, UTC) if due_by else None,
            "created_at": dispute.created_at,
            "closed_at": dispute.closed_at,
        },
    )


def _mismatch(tenant: Tenant, account: BillingAccount, top_up: TopUp, facts: Facts) -> str:
    """How the payment differs from what was asked; nothing where it does not."""
    intent = facts.intent
    if note_in(intent, "tenant") != tenant.code or note_in(intent, "top_up") != str(top_up.pk):
        return f"{intent.id} was asked for by another: {note_in(intent, 'tenant')}"
    if top_up.payment_intent_id and top_up.payment_intent_id != intent.id:
        return f"{intent.id} is for a top-up that {top_up.payment_intent_id} has paid already"
    payer = find(intent.customer)
    if payer is None or payer.tenant_code != tenant.code:
        return f"the customer is {intent.customer}, not {account.customer_id}"
    if intent.currency != top_up.currency:
        return f"the currency is {intent.currency}, not {top_up.currency}"
    amount = intent.amount_received if facts.is_paid else intent.amount
    if amount != top_up.total_cents:
        return f"the amount is {amount} cents, not {top_up.total_cents}"
    return ""


def _note_mismatch(top_up: TopUp, facts: Facts, mismatch: str, news: _News) -> None:
    """Nothing is credited, and a person must look, until it is paid back at Stripe."""
    is_over = bool(facts.charge and facts.charge.refunded)
    if not is_over:
        news.mismatch = mismatch
    # Its own payment may still come: this one's name is in the words alone.
    if top_up.status != TopUp.Status.CREDITED:
        top_up.status = TopUp.Status.FAILED if is_over else TopUp.Status.MISMATCH
        after = " It was paid back." if is_over else ""
        top_up.failure = f"{facts.intent.id}: {mismatch}.{after}"[:300]


def _note_papers(top_up: TopUp, facts: Facts) -> None:
    if charge := facts.charge:
        top_up.charge_id = charge.id
        top_up.receipt_url = charge.receipt_url or ""
        card = charge.payment_method_details and charge.payment_method_details.card
        if card:
            top_up.card_brand, top_up.card_last4 = card.brand[:20], card.last4
    if invoice := facts.invoice:
        top_up.note_invoice(invoice)


def _credit(tenant: Tenant, account: BillingAccount, top_up: TopUp, facts: Facts) -> None:
    booking.book_top_up(top_up, actor=top_up.created_by)
    top_up.status, top_up.credited_at = TopUp.Status.CREDITED, timezone.now()
    top_up.failure = top_up.failure_code = top_up.session_url = ""
    audit.record(
        actor=top_up.created_by,
        action="credit.bought",
        subject=top_up.reference,
        credit_nusd=str(top_up.credit_nusd),
    )
    owe_invoice(tenant.code, top_up)
    drop_waiting("Not confirmed; another payment took its place.", but=top_up)
    booking.reset_after_payment(account)
    if account.alert_nusd is not None and credit_account().balance_nusd >= account.alert_nusd:
        account.alert_told_at = None
    if facts.card is not None and facts.card.customer == account.customer_id:
        note_card(tenant, account, facts.card)


def _note_unpaid(tenant: Tenant, account: BillingAccount, top_up: TopUp, facts: Facts) -> None:
    """A payment that has not gone through, or not yet."""
    if top_up.status == TopUp.Status.CREDITED:
        return
    intent = facts.intent
    error = intent.last_payment_error
    # Once it is over, its own reason stays.
    if error and top_up.is_open:
        top_up.failure_code = (error.code or "")[:60]
        top_up.failure = (error.message or "")[:300]
    if intent.status == "canceled":
        if top_up.is_open:
            top_up.status = (
                TopUp.Status.EXPIRED if top_up.kind == TopUp.Kind.CHECKOUT else TopUp.Status.FAILED
            )
        return
    if top_up.kind == TopUp.Kind.AUTO and top_up.status == TopUp.Status.PENDING:
        is_asked = intent.status == "requires_action"
        if error or is_asked:
            needs_holder = is_asked or top_up.failure_code == "authentication_required"
            note_failed_recharge(account, top_up, needs_holder=needs_holder)
            mails.tell_recharge_failed(tenant, account, top_up)


# --- Sessions ---------------------------------------------------------------------


def sync_session(session_id: str) -> str | None:
    """Take over what became of a Checkout session. As sync_payment."""
    known = find(session_id)
    if known is None:
        return None
    tenant = tenant_by_code(known.tenant_code)
    session = client().checkout.sessions.retrieve(session_id)
    if session.mode == "setup":
        _take_saved_card(tenant, session)
    elif session.payment_intent:
        remember(session.payment_intent, tenant.code, known.ours)
        sync_payment(session.payment_intent)
    if session.mode == "payment" and session.status == "expired":
        _note_expired(tenant, UUID(known.ours))
    return tenant.code


def _note_expired(tenant: Tenant, top_up_id: UUID) -> None:
    with tenant_schema(tenant.code), transaction.atomic():
        lock_account()
        top_up = TopUp.objects.select_for_update().get(pk=top_up_id)
        if top_up.is_open:
            top_up.status, top_up.session_url = TopUp.Status.EXPIRED, ""
            top_up.version += 1
            top_up.save()
            close_if_over(top_up)


def _take_saved_card(tenant: Tenant, session: Any) -> None:
    """A card was saved without a payment."""
    if session.status != "complete" or not session.setup_intent:
        return
    intent = client().setup_intents.retrieve(session.setup_intent)
    method = card_of(intent.payment_method) if intent.payment_method else None
    with tenant_schema(tenant.code), transaction.atomic():
        account = lock_account()
        if method is None or method.customer != account.customer_id:
            return
        if account.payment_method_id != method.id:
            note_card(tenant, account, method)
            if drop_waiting("Not confirmed; another card was saved."):
                account.reset_auto()
            account.save()
            watch(tenant.code, account)
            audit.record(actor="stripe", action="card.saved", subject=method.id)
