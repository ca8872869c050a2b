"""Invoices by API: drafted, given lines, finalized, and paid by a payment that was made before."""

from typing import Any

from sandbox.stripe import invoices, payment_intents
from sandbox.stripe.call import Call
from sandbox.stripe.errors import InvalidRequestError, NotServedError
from sandbox.stripe.invoices import KIND, PAYMENT_KIND
from sandbox.stripe.line_items import missing
from sandbox.stripe.metadata import merged
from sandbox.stripe.store import Object, Unit

MAX_LINES = 250


def create(call: Call) -> Object:
    """POST /v1/invoices: a draft without lines, which waits to be finalized by API."""
    unit, given = call.unit, call.params
    if "customer" not in given:
        raise missing("customer")
    if given.get("auto_advance", False) or given.get("collection_method") == "send_invoice":
        raise NotServedError("invoices that it sends or charges by itself", param="auto_advance")
    if given.get("pending_invoice_items_behavior") == "include":
        raise NotServedError("pending invoice items", param="pending_invoice_items_behavior")
    customer = unit.get("customer", given["customer"], param="customer")
    data = {name: given.get(name) for name in ("description", "footer", "custom_fields")}
    metadata = merged({}, given.get("metadata"))
    currency = given.get("currency", customer["currency"] or "usd").lower()
    invoice = invoices.make(unit, customer, currency, {**data, "metadata": metadata})
    unit.emit("invoice.created", invoice)
    return invoice


def draft(call: Call, what: str) -> Object:
    """Raises InvalidRequestError once it is finalized."""
    invoice = call.unit.get(KIND, call.id)
    if invoice["status"] != "draft":
        raise InvalidRequestError(
            f"This invoice is no longer a draft, so {what}.",
            code="invoice_not_editable",
            param="invoice",
        )
    return invoice


def add_lines(call: Call) -> Object:
    """POST /v1/invoices/{id}/add_lines: all of them, or none."""
    invoice = draft(call, "lines cannot be added to it")
    wanted: list[dict[str, Any]] = call.params["lines"]
    if not 0 < len(wanted) <= MAX_LINES:
        raise InvalidRequestError(f"You must pass 1 to {MAX_LINES} lines.", param="lines")
    lines = []
    for number, one in enumerate(wanted):
        if "amount" not in one:
            raise missing(f"lines[{number}][amount]")
        metadata = merged({}, one.get("metadata"))
        lines.append(invoices.line(invoice, one["amount"], one.get("description"), metadata))
    invoices.add_lines(call.unit, invoice, lines)
    call.unit.emit("invoice.updated", invoice)
    return invoice


def finalize(call: Call) -> Object:
    """POST /v1/invoices/{id}/finalize: with a PaymentIntent of its own, for who would pay it."""
    unit = call.unit
    if call.params.get("auto_advance", False):
        raise NotServedError("invoices that it charges by itself", param="auto_advance")
    invoice = draft(call, "it cannot be finalized again")
    if invoice["total"] <= 0:
        raise NotServedError("invoices of nothing")
    invoices.give_number(unit, invoice)
    intent = payment_intents.make(
        unit,
        invoice["total"],
        invoice["currency"],
        customer=invoice["customer"],
        description=f"Payment for Invoice {invoice['number']}",
    )
    invoices.add_payment(unit, invoice, intent, is_paid=False)
    unit.emit("payment_intent.created", intent)
    unit.emit("invoice.finalized", invoice)
    return invoice


def attach_payment(call: Call) -> Object:
    """POST /v1/invoices/{id}/attach_payment: a payment that has succeeded, of the whole amount."""
    unit = call.unit
    invoice = unit.get(KIND, call.id)
    if invoice["status"] != "open":
        raise InvalidRequestError(
            f"Payments can only be attached to open invoices; this one is {invoice['status']}."
        )
    if "payment_intent" not in call.params:
        raise missing("payment_intent")
    intent = unit.get("payment_intent", call.params["payment_intent"], param="payment_intent")
    check_payment(unit, invoice, intent)
    for payment in list(unit.all(PAYMENT_KIND)):
        if payment["invoice"] == invoice["id"] and payment["status"] == "open":
            cancel(unit, unit.get(PAYMENT_KIND, payment["id"]))
    invoices.take_payment(unit, invoice, intent, is_default=False)
    return invoice


def check_payment(unit: Unit, invoice: Object, intent: Object) -> None:
    """Raises InvalidRequestError or NotServedError for a payment that is not of this invoice."""
    if intent["customer"] != invoice["customer"] or intent["currency"] != invoice["currency"]:
        raise InvalidRequestError(
            "The PaymentIntent's customer and currency must be the invoice's.",
            param="payment_intent",
        )
    if any(one["payment"]["payment_intent"] == intent["id"] for one in unit.all(PAYMENT_KIND)):
        raise InvalidRequestError(
            f"The PaymentIntent {intent['id']} is attached to an invoice already.",
            param="payment_intent",
        )
    if intent["status"] != "succeeded" or intent["amount_received"] != invoice["total"]:
        raise NotServedError("payments in parts, or to come", param="payment_intent")


def cancel(unit: Unit, payment: Object) -> None:
    """Nobody needs to pay the invoice by itself any more."""
    payment["status"] = "canceled"
    payment["status_transitions"]["canceled_at"] = unit.now
    intent = unit.get("payment_intent", payment["payment"]["payment_intent"])
    payment_intents.end(unit, intent, "void_invoice")
