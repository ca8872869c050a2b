"""Invoices of recharges: Checkout makes its own, a charge of the saved card comes without one.

The money comes first. The invoice is made of the payment afterwards, in steps; each looks at what
Stripe has by now, so whatever broke off is gone on with.
"""

import logging
from typing import Any

from django.db import transaction

from billing.payments.accounts import TaxIdError, billing_account, ensure_customer, lock_account
from billing.payments.amounts import lines_of
from billing.payments.facts import intent_of, note_in
from billing.payments.models import TopUp
from billing.payments.opened import close_if_over
from billing.stripe.client import client, once
from tenants.registry.models import Tenant

logger = logging.getLogger(__name__)


def make_invoice(tenant: Tenant, top_up: TopUp) -> None:
    """See that a recharge that was credited has its invoice. In the tenant's schema.

    Raises Stripe's errors: repeat it.
    """
    api = client().invoices
    customer_id = intent_of(top_up.payment_intent_id).customer
    invoice = _find(top_up, customer_id) or _begin(tenant, top_up, customer_id)
    if invoice.status == "draft" and not invoice.total:
        invoice = api.add_lines(invoice.id, {"lines": _lines(top_up)}, _once(top_up, "lines"))
    if invoice.status == "draft":
        invoice = api.finalize_invoice(
            invoice.id, {"auto_advance": False}, _once(top_up, "finalize")
        )
    if invoice.status == "open":
        invoice = api.attach_payment(
            invoice.id, {"payment_intent": top_up.payment_intent_id}, _once(top_up, "attach")
        )
    _keep(top_up, invoice)


def _once(top_up: TopUp, what: str) -> dict[str, Any]:
    return once("top_up", top_up.pk, "invoice", what)


def _find(top_up: TopUp, customer_id: str) -> Any:
    """Stripe forgets idempotency keys after a day or more: first it is asked what it has."""
    since = int(top_up.created_at.timestamp()) - 300
    listed = client().invoices.list(
        {"customer": customer_id, "created": {"gte": since}, "limit": 100}
    )
    for invoice in listed.auto_paging_iter():
        if note_in(invoice, "top_up") == str(top_up.pk):
            return invoice
    return None


def _begin(tenant: Tenant, top_up: TopUp, customer_id: str) -> Any:
    if billing_account().customer_id == customer_id:
        try:
            ensure_customer(tenant)
        except TaxIdError:
            # The page of the details has told it; an invoice without is better than none.
            logger.warning("%s's tax id is not taken by Stripe", tenant.slug)
    return client().invoices.create(
        {
            "customer": customer_id,
            "currency": top_up.currency,
            # It is paid already: Stripe must not charge anybody for it.
            "auto_advance": False,
            "description": "Auto-recharge",
            "metadata": {"tenant": tenant.code, "top_up": str(top_up.pk)},
        },
        _once(top_up, "begin"),
    )


def _lines(top_up: TopUp) -> list[dict[str, Any]]:
    return [{"description": name, "amount": cents} for name, cents in lines_of(top_up)]


def _keep(top_up: TopUp, invoice: Any) -> None:
    with transaction.atomic():
        lock_account()
        row = TopUp.objects.select_for_update().get(pk=top_up.pk)
        row.note_invoice(invoice)
        row.version += 1
        row.save()
        close_if_over(row)
