"""Paying back credit that was bought and not used.

1. A row, under the account's lock: the payment has so much left.
2. The gate holds the credit: from here on nothing can spend it.
3. The ledger takes it, and the gate is told; the hold ends.
4. Stripe is asked, under the row's idempotency key. Its refusal reverses the entry.

Whoever dies on the way leaves a row that is looked after: before 3 nothing was taken and the row
is void; after it Stripe is asked until it answers.
"""

import logging
from contextlib import suppress
from datetime import timedelta
from typing import Any
from uuid import UUID

from django.conf import settings
from django.db import transaction
from django.utils import timezone

from agentflare.errors import ServiceUnavailableError
from agentflare.redis_store import RedisDownError
from billing.admission import reserves
from billing.ledger.models import AccountCode
from billing.ledger.services import lock_accounts, sync_gate
from billing.payments import booking
from billing.payments.accounts import lock_account
from billing.payments.amounts import NUSD_PER_CENT, dollars
from billing.payments.facts import note_in
from billing.payments.models import Dispute, Refund, TopUp
from billing.payments.opened import open_payment
from billing.stripe.client import REFUSED, UNCERTAIN, client, once, words_of
from billing.stripe.models import OpenPayment
from tenants.audit import services as audit
from tenants.registry.models import Tenant
from tenants.registry.schemas import tenant_schema

logger = logging.getLogger(__name__)
_PURPOSE = "refund"


class RefundError(Exception):
    """It cannot be paid back. Nothing was taken. Its text is for the reader."""


def refundable_cents(top_up: TopUp, *, available_nusd: int, by_operator: bool = False) -> int:
    """How much of this payment's credit can be paid back now."""
    if why_not(top_up, by_operator=by_operator):
        return 0
    return max(0, min(booking.standing_cents(top_up), available_nusd // NUSD_PER_CENT))


def why_not(top_up: TopUp, *, by_operator: bool = False) -> str:
    """Why nothing of a payment can be paid back; nothing where it can. An operator is bound by no
    number of days."""
    if top_up.status != TopUp.Status.CREDITED or top_up.credited_at is None:
        return "It was not credited."
    if not by_operator and top_up.credited_at < timezone.now() - timedelta(
        days=settings.REFUND_DAYS
    ):
        return f"It is more than {settings.REFUND_DAYS} days old."
    outcomes = set(top_up.disputes.values_list("outcome", flat=True))
    if Dispute.Outcome.OPENED in outcomes:
        return "It is disputed at the bank, which decides about it."
    if Dispute.Outcome.LOST in outcomes:
        return "The bank has given it back already."
    if not booking.standing_cents(top_up):
        return "It was refunded already."
    return ""


def refund_credit(
    *,
    tenant: Tenant,
    top_up_id: UUID,
    credit_cents: int,
    actor: str,
    form_id: UUID | None = None,
    by_operator: bool = False,
) -> Refund:
    """Take unused credit of a payment and give its money back, with its part of the tax.

    form_id: what it has asked for already is not asked for again, but returned as it is now.
    by_operator: also of a workspace that is suspended, and however old the payment is.
    Returns the refund: on its way to the card, or `taken` while Stripe does not answer.
    Raises RefundError.
    """
    if tenant.is_suspended and not by_operator:
        raise RefundError("This workspace is suspended. Please get in touch with us.")
    with tenant_schema(tenant.code):
        refund, is_new = _request(
            tenant, top_up_id, credit_cents, actor, form_id, by_operator=by_operator
        )
        if not is_new:
            return refund
        try:
            _take(tenant, refund)
        except RefundError as exc:
            void(tenant, refund.pk, failure=str(exc))
            raise
        except (*RedisDownError, ServiceUnavailableError) as exc:
            void(tenant, refund.pk, failure="The credit could not be held.")
            raise RefundError(
                "Credit cannot be held at the moment, so nothing was taken. Try again in a minute."
            ) from exc
        try:
            ask_stripe(tenant, refund.pk)
        except (*UNCERTAIN, *RedisDownError) as exc:
            logger.warning("Refund %s of %s: %s", refund.pk, tenant.slug, exc)
        return Refund.objects.get(pk=refund.pk)


def _request(
    tenant: Tenant,
    top_up_id: UUID,
    credit_cents: int,
    actor: str,
    form_id: UUID | None = None,
    *,
    by_operator: bool = False,
) -> tuple[Refund, bool]:
    """The row, and whether it is new."""
    with transaction.atomic():
        lock_account()
        known = Refund.objects.filter(form_id=form_id).first() if form_id else None
        if known:
            return known, False
        top_up = TopUp.objects.select_for_update().get(pk=top_up_id)
        if reason := why_not(top_up, by_operator=by_operator):
            raise RefundError(f"This payment cannot be refunded. {reason}")
        waiting = top_up.refunds.filter(status=Refund.Status.REQUESTED)
        left = booking.standing_cents(top_up) - sum(each.credit_cents for each in waiting)
        if not 0 < credit_cents <= left:
            raise RefundError(f"Choose an amount up to {dollars(max(0, left))}.")
        refund = Refund.objects.create(
            top_up=top_up,
            credit_cents=credit_cents,
            amount_cents=credit_cents + _tax_of(top_up, credit_cents),
            created_by=actor,
            form_id=form_id,
        )
        open_payment(OpenPayment.Kind.REFUND, refund.pk, tenant.code)
        audit.record(
            actor=actor,
            action="refund.requested",
            subject=str(refund.pk),
            amount_cents=refund.amount_cents,
        )
    return refund, True


def _tax_of(top_up: TopUp, credit_cents: int) -> int:
    """The tax on that credit; the one on the fee stays with the fee."""
    taxed = top_up.credit_cents + top_up.fee_cents
    return top_up.tax_cents * credit_cents // taxed


def _take(tenant: Tenant, refund: Refund) -> None:
    """Hold, book, tell the gate. Raises RefundError where the credit is not there."""
    try:
        reserves.reserve(
            tenant_code=tenant.code,
            reserve_id=refund.pk,
            amount_nusd=refund.credit_nusd,
            purpose=_PURPOSE,
        )
    except reserves.NotAvailableError as exc:
        cents = max(0, exc.available_nusd // NUSD_PER_CENT)
        raise RefundError(
            f"Only {dollars(cents)} of credit is available: what was spent, and what running "
            "calls hold, cannot be refunded."
        ) from None
    try:
        book(tenant, refund.pk)
    except BaseException:
        with suppress(*RedisDownError):
            reserves.release(tenant_code=tenant.code, reserve_id=refund.pk)
        raise
    try:
        sync_gate(tenant.code)
        reserves.release(tenant_code=tenant.code, reserve_id=refund.pk)
    except RedisDownError:
        # It is booked. The hold stands until it ends by itself, and the gate is told before.
        logger.warning("The gate was not told of refund %s of %s", refund.pk, tenant.slug)


def book(tenant: Tenant, refund_id: UUID) -> None:
    """Step 3: held credit leaves the ledger. Raises RefundError where it is not held any more."""
    with transaction.atomic():
        lock_account()
        refund = Refund.objects.select_for_update().get(pk=refund_id)
        lock_accounts([AccountCode.CREDIT, AccountCode.STRIPE])
        is_held = reserves.is_reserved(tenant_code=tenant.code, reserve_id=refund_id)
        if refund.status != Refund.Status.REQUESTED or not is_held:
            raise RefundError("This took too long, and nothing was taken. Try again.")
        paid = f"{refund.top_up.credited_at:%Y-%m-%d}"
        booking.book_refund(refund, memo=f"Refund of the payment of {paid}")
        refund.status = Refund.Status.TAKEN
        refund.save()


def void(tenant: Tenant, refund_id: UUID, *, failure: str) -> None:
    """Nothing was taken, and nothing will be."""
    with transaction.atomic():
        lock_account()
        refund = Refund.objects.select_for_update().get(pk=refund_id)
        if refund.status != Refund.Status.REQUESTED:
            return
        refund.status, refund.failure = Refund.Status.REFUSED, failure[:300]
        # Its form comes back with the reason, and may be sent once more.
        refund.form_id = None
        refund.ended_at = timezone.now()
        refund.save()
        OpenPayment.objects.filter(pk=refund_id).delete()


def ask_stripe(tenant: Tenant, refund_id: UUID, *, looks_first: bool = False) -> None:
    """Step 4. Stripe's refusal gives the credit back. Raises Stripe's other errors.

    looks_first: it may have been asked so long ago that it has forgotten the key.
    """
    refund = Refund.objects.select_related("top_up").get(pk=refund_id)
    if refund.status not in Refund.OPEN or refund.status == Refund.Status.REQUESTED:
        return
    try:
        told = _ask(refund, looks_first)
    except REFUSED as exc:
        logger.error("Stripe refuses refund %s of %s: %s", refund.pk, tenant.slug, exc)
        told, failure = None, words_of(exc)
    with transaction.atomic():
        lock_account()
        top_up = TopUp.objects.select_for_update().get(pk=refund.top_up_id)
        refund = Refund.objects.select_for_update().get(pk=refund_id)
        # A state that was fetched before this answer must be fetched again.
        top_up.version += 1
        top_up.save(update_fields=["version"])
        if told is not None:
            if refund.stripe_id in ("", told.id):
                booking.take_refund(top_up, told)
        elif refund.status == Refund.Status.TAKEN and not refund.stripe_id:
            booking.reverse_refund(refund, failure=failure)
        close_refund_if_over(refund_id)
    sync_gate(tenant.code)


def close_refund_if_over(refund_id: UUID) -> None:
    if not Refund.objects.filter(pk=refund_id, status__in=Refund.OPEN).exists():
        OpenPayment.objects.filter(pk=refund_id).delete()


def _ask(refund: Refund, looks_first: bool) -> Any:
    api = client()
    if refund.stripe_id:
        return api.refunds.retrieve(refund.stripe_id)
    if looks_first:
        found = api.refunds.list({"payment_intent": refund.top_up.payment_intent_id, "limit": 100})
        for told in found.auto_paging_iter():
            if note_in(told, "refund") == str(refund.pk):
                return told
    return api.refunds.create(
        {
            "payment_intent": refund.top_up.payment_intent_id,
            "amount": refund.amount_cents,
            "reason": "requested_by_customer",
            "metadata": {"refund": str(refund.pk)},
        },
        once("refund", refund.pk),
    )


def resume_refund(tenant: Tenant, refund_id: UUID) -> None:
    """Go on where somebody stopped. In the tenant's schema."""
    refund = Refund.objects.get(pk=refund_id)
    if refund.status == Refund.Status.REQUESTED:
        reserves.release(tenant_code=tenant.code, reserve_id=refund_id)
        void(tenant, refund_id, failure="It was interrupted; nothing was taken.")
        return
    # Its hold may stand still, until it ends by itself; the gate is told what was taken.
    sync_gate(tenant.code)
    ask_stripe(tenant, refund_id, looks_first=True)
    close_refund_if_over(refund_id)
