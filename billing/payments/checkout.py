"""Buying credit and saving a card on Stripe's own page."""

import logging
from collections.abc import Callable
from dataclasses import asdict
from datetime import timedelta
from functools import partial
from typing import Any
from uuid import UUID

import stripe
from django.conf import settings
from django.db import transaction
from django.utils import timezone

from agentflare.ids import uuid7
from billing.payments.accounts import (
    TaxIdError,
    ensure_customer,
    forget_customer,
    is_gone,
    lock_account,
)
from billing.payments.amounts import Quote, lines_of, quote, range_of
from billing.payments.models import TopUp
from billing.payments.opened import close_if_over, open_payment
from billing.payments.sync import sync_session
from billing.stripe.client import client, once, words_of
from billing.stripe.index import remember
from billing.stripe.models import OpenPayment
from tenants.audit import services as audit
from tenants.registry.models import Tenant
from tenants.registry.schemas import tenant_schema

logger = logging.getLogger(__name__)

# How long Stripe's page can be paid.
SESSION_LIFE = timedelta(hours=2)


class CheckoutError(Exception):
    """Stripe's page could not be opened; nothing was charged. Its text is for the reader."""


def start_top_up(
    *,
    tenant: Tenant,
    credit_cents: int,
    actor: str,
    saves_card: bool = False,
    form_id: UUID | None = None,
) -> TopUp:
    """Begin to buy credit: `session_url` of what is returned is where it is paid.

    saves_card: keep the card for auto-recharge. form_id: while a top-up that it has begun is open,
    and for the same, that one is returned; it may have no address yet.
    Raises AmountError, PaymentsNotSetUpError and CheckoutError; then nothing can be paid.
    """
    range_of(tenant).check(credit_cents)
    client()  # set up at all?
    sums = quote(credit_cents)
    with tenant_schema(tenant.code):
        with transaction.atomic():
            lock_account()
            top_up, is_new = _order(
                tenant, sums, actor=actor, saves_card=saves_card, form_id=form_id
            )
        if not is_new:
            return top_up
        try:
            session = _for_customer(tenant, partial(_open_session, tenant, top_up))
        except (stripe.StripeError, TaxIdError) as exc:
            logger.warning("Checkout for %s of %s: %s", top_up.pk, tenant.slug, exc)
            give_up(top_up.pk, _reason(exc))
            raise CheckoutError(_apology(exc)) from exc
        return _keep_session(tenant, top_up.pk, session)


def _order(
    tenant: Tenant, sums: Quote, *, actor: str, saves_card: bool, form_id: UUID | None
) -> tuple[TopUp, bool]:
    """The row, and whether it is new: else this form has made it before, and waits for it."""
    wanted: dict[str, Any] = {**asdict(sums), "saves_card": saves_card}
    known = TopUp.objects.filter(form_id=form_id).first() if form_id else None
    if known:
        if known.is_open and all(getattr(known, name) == wanted[name] for name in wanted):
            return known, False
        # Somebody went back to a page that was sent before, and asks for something else.
        TopUp.objects.filter(pk=known.pk).update(form_id=None)
    top_up = TopUp.objects.create(
        kind=TopUp.Kind.CHECKOUT,
        created_by=actor,
        form_id=form_id,
        expires_at=timezone.now() + SESSION_LIFE,
        **wanted,
    )
    open_payment(OpenPayment.Kind.TOP_UP, top_up.pk, tenant.code)
    audit.record(
        actor=actor,
        action="credit.ordered",
        subject=str(top_up.pk),
        total_cents=top_up.total_cents,
    )
    return top_up, True


def _apology(exc: stripe.StripeError | TaxIdError) -> str:
    if isinstance(exc, (TaxIdError, stripe.InvalidRequestError)):
        return f"{_reason(exc)} Nothing was charged."
    return "Stripe does not answer at the moment. Nothing was charged; try again in a minute."


def _reason(exc: stripe.StripeError | TaxIdError) -> str:
    if isinstance(exc, TaxIdError):
        return f"Stripe does not take the tax id in your billing details: {exc}"
    if isinstance(exc, stripe.InvalidRequestError):
        return f"Stripe did not accept this: {words_of(exc)}"
    return "Stripe did not answer."


def _for_customer(tenant: Tenant, ask: Callable[[str], Any]) -> Any:
    """What Stripe answers for the tenant's customer; for another, where that one is gone."""
    customer_id = ensure_customer(tenant).customer_id
    try:
        return ask(customer_id)
    except stripe.InvalidRequestError as exc:
        if not (is_gone(exc) and exc.param == "customer"):
            raise
    with tenant_schema(tenant.code):
        forget_customer(tenant, customer_id)
    return ask(ensure_customer(tenant).customer_id)


def _open_session(tenant: Tenant, top_up: TopUp, customer_id: str) -> Any:
    page = f"{settings.AGENTFLARE_URL}/t/{tenant.slug}/billing"
    notes = {"tenant": tenant.code, "top_up": str(top_up.pk)}
    payment: dict[str, Any] = {
        "description": f"AgentFlare credit, {top_up.pk}",
        "metadata": notes,
    }
    if top_up.saves_card:
        payment["setup_future_usage"] = "off_session"
    assert top_up.expires_at is not None
    return client().checkout.sessions.create(
        {
            "mode": "payment",
            "customer": customer_id,
            "client_reference_id": str(top_up.pk),
            "allowed_payment_method_types": ["card"],
            "line_items": _lines(top_up),
            "payment_intent_data": payment,
            "invoice_creation": {"enabled": True, "invoice_data": {"metadata": notes}},
            "metadata": notes,
            "expires_at": int(top_up.expires_at.timestamp()),
            "success_url": f"{page}/payments/{top_up.pk}/",
            "cancel_url": f"{page}/",
        },
        once("top_up", top_up.pk, "session", customer_id),
    )


def _lines(top_up: TopUp) -> list[dict[str, Any]]:
    return [
        {
            "quantity": 1,
            "price_data": {
                "currency": top_up.currency,
                "unit_amount": cents,
                "product_data": {"name": name},
            },
        }
        for name, cents in lines_of(top_up)
    ]


def _keep_session(tenant: Tenant, top_up_id: UUID, session: Any) -> TopUp:
    with transaction.atomic():
        lock_account()
        top_up = TopUp.objects.select_for_update().get(pk=top_up_id)
        top_up.session_id, top_up.session_url = session.id, session.url or ""
        top_up.save(update_fields=["session_id", "session_url"])
        remember(session.id, tenant.code, top_up_id)
    return top_up


def cancel_top_up(*, tenant: Tenant, top_up_id: UUID, actor: str) -> TopUp:
    """Close Stripe's page, so that it cannot be paid any more. Returns the top-up as it is now:
    credited, where somebody was quicker; a repeat changes nothing.

    Raises Stripe's errors where it is not known: repeat it.
    """
    with tenant_schema(tenant.code):
        top_up = TopUp.objects.get(pk=top_up_id)
        if top_up.is_open and top_up.session_id:
            try:
                client().checkout.sessions.expire(
                    top_up.session_id, {}, once("top_up", top_up_id, "expire")
                )
            except stripe.InvalidRequestError as exc:
                logger.info("%s is closed already: %s", top_up.session_id, exc)
            sync_session(top_up.session_id)
        elif top_up.is_open and top_up.kind == TopUp.Kind.CHECKOUT:
            give_up(top_up_id, "")
        with transaction.atomic():
            lock_account()
            row = TopUp.objects.select_for_update().get(pk=top_up_id)
            if top_up.is_open and not row.is_open and row.status != TopUp.Status.CREDITED:
                row.failure = f"Canceled by {actor}."[:300]
                row.save(update_fields=["failure"])
                audit.record(actor=actor, action="credit.order_cancelled", subject=str(top_up_id))
    return row


def give_up(top_up_id: UUID, failure: str) -> None:
    """Nobody has the address of a page that may be there: it cannot be paid."""
    with transaction.atomic():
        lock_account()
        top_up = TopUp.objects.select_for_update().get(pk=top_up_id)
        if top_up.is_open:
            top_up.status, top_up.failure = TopUp.Status.FAILED, failure
            top_up.version += 1
            top_up.save()
            close_if_over(top_up)


def start_card_setup(*, tenant: Tenant, actor: str) -> str:
    """Begin to save a card without paying. Returns the address of Stripe's page.

    Raises PaymentsNotSetUpError and CheckoutError.
    """
    try:
        session = _for_customer(tenant, partial(_open_card_session, tenant, uuid7()))
    except (stripe.StripeError, TaxIdError) as exc:
        logger.warning("Checkout for a card of %s: %s", tenant.slug, exc)
        raise CheckoutError(_apology(exc)) from exc
    remember(session.id, tenant.code, "")
    with tenant_schema(tenant.code):
        audit.record(actor=actor, action="card.setup_started", subject=session.id[:100])
    return str(session.url)


def _open_card_session(tenant: Tenant, setup: UUID, customer_id: str) -> Any:
    page = f"{settings.AGENTFLARE_URL}/t/{tenant.slug}/billing"
    notes = {"tenant": tenant.code}
    return client().checkout.sessions.create(
        {
            "mode": "setup",
            "customer": customer_id,
            "allowed_payment_method_types": ["card"],
            "setup_intent_data": {"metadata": notes},
            "metadata": notes,
            "success_url": f"{page}/card/saved/?session={{CHECKOUT_SESSION_ID}}",
            "cancel_url": f"{page}/",
        },
        once("card", setup, "session", customer_id),
    )
