"""Invoices and their payments: made by Checkout, or by API (invoice_calls.py)."""

from sandbox.stripe import tax_ids
from sandbox.stripe.call import Call
from sandbox.stripe.lists import list_object, page
from sandbox.stripe.store import Object, Unit, new_id

KIND = "invoice"
PAYMENT_KIND = "invoice_payment"


def make_paid(unit: Unit, session: Object, intent: Object) -> Object:
    """The invoice of a session that was just paid."""
    invoice = make(
        unit,
        unit.get("customer", session["customer"]),
        session["currency"],
        session["invoice_creation"]["invoice_data"],
    )
    add_lines(unit, invoice, [line_of_item(invoice, item) for item in session["_line_items"]])
    give_number(unit, invoice)
    unit.emit("invoice.created", invoice)
    unit.emit("invoice.finalized", invoice)
    take_payment(unit, invoice, intent)
    return invoice


def make(unit: Unit, customer: Object, currency: str, data: Object) -> Object:
    """A draft. data: custom_fields, description, footer and metadata, where given."""
    invoice = unit.add(
        "in",
        KIND,
        account_country="US",
        account_name="AgentFlare sandbox",
        account_tax_ids=None,
        amount_due=0,
        amount_overpaid=0,
        amount_paid=0,
        amount_remaining=0,
        amount_shipping=0,
        application=None,
        attempt_count=0,
        attempted=False,
        auto_advance=False,
        automatic_tax={
            "disabled_reason": None,
            "enabled": False,
            "liability": None,
            "provider": None,
            "status": None,
        },
        automatically_finalizes_at=None,
        billing_reason="manual",
        collection_method="charge_automatically",
        currency=currency,
        custom_fields=data.get("custom_fields"),
        customer=customer["id"],
        customer_address=customer["address"],
        customer_email=customer["email"],
        customer_name=customer["name"],
        customer_phone=customer["phone"],
        customer_shipping=None,
        customer_tax_exempt=customer["tax_exempt"],
        customer_tax_ids=[
            {"type": one["type"], "value": one["value"]}
            for one in tax_ids.of_customer(unit, customer["id"])
        ],
        default_payment_method=None,
        default_source=None,
        default_tax_rates=[],
        description=data.get("description"),
        discounts=[],
        due_date=None,
        effective_at=None,
        ending_balance=None,
        footer=data.get("footer"),
        from_invoice=None,
        hosted_invoice_url=None,
        invoice_pdf=None,
        issuer={"type": "self"},
        last_finalization_error=None,
        latest_revision=None,
        livemode=False,
        metadata=data.get("metadata") or {},
        next_payment_attempt=None,
        number=None,
        on_behalf_of=None,
        parent=None,
        payment_settings={
            "default_mandate": None,
            "payment_method_options": None,
            "payment_method_types": None,
        },
        period_end=unit.now,
        period_start=unit.now,
        post_payment_credit_notes_amount=0,
        pre_payment_credit_notes_amount=0,
        receipt_number=None,
        rendering=None,
        shipping_cost=None,
        shipping_details=None,
        starting_balance=0,
        statement_descriptor=None,
        status="draft",
        status_transitions={
            "finalized_at": None,
            "marked_uncollectible_at": None,
            "paid_at": None,
            "voided_at": None,
        },
        subtotal=0,
        subtotal_excluding_tax=0,
        test_clock=None,
        total=0,
        total_discount_amounts=[],
        total_excluding_tax=0,
        total_pretax_credit_amounts=[],
        total_taxes=[],
        webhooks_delivered_at=unit.now,
    )
    invoice["lines"] = list_object(f"/v1/invoices/{invoice['id']}/lines", [])
    return invoice


def add_lines(unit: Unit, invoice: Object, lines: list[Object]) -> None:
    invoice["lines"]["data"].extend(lines)
    total = sum(one["amount"] for one in invoice["lines"]["data"])
    for name in ("subtotal", "subtotal_excluding_tax", "total", "total_excluding_tax"):
        invoice[name] = total
    invoice["amount_due"] = invoice["amount_remaining"] = total


def give_number(unit: Unit, invoice: Object) -> None:
    """It is open from now on, and has its pages."""
    customer = unit.get("customer", invoice["customer"])
    invoice["number"] = f"{customer['invoice_prefix']}-{customer['next_invoice_sequence']:04}"
    customer["next_invoice_sequence"] += 1
    invoice["status_transitions"]["finalized_at"] = unit.now
    # Not to be guessed: whoever has the address may read it.
    page_url = f"{unit.url}/i/{invoice['id']}/{new_id('s')}"
    invoice.update(
        status="open",
        effective_at=unit.now,
        ending_balance=0,
        hosted_invoice_url=page_url,
        invoice_pdf=f"{page_url}/pdf",
    )


def take_payment(unit: Unit, invoice: Object, intent: Object, *, is_default: bool = True) -> None:
    """All of it is paid, by this intent."""
    invoice["status_transitions"]["paid_at"] = unit.now
    invoice.update(
        status="paid",
        amount_paid=invoice["total"],
        amount_remaining=0,
        attempt_count=1,
        attempted=True,
    )
    payment = add_payment(unit, invoice, intent, is_default=is_default)
    for type_ in ("paid", "payment_succeeded"):
        unit.emit(f"invoice.{type_}", invoice)
    unit.emit("invoice_payment.paid", payment)


def line_of_item(invoice: Object, item: Object) -> Object:
    """As a Checkout session sold it."""
    made = line(invoice, item["amount_total"], item["description"])
    made["pricing"]["price_details"] = {
        "price": item["price"]["id"],
        "product": item["price"]["product"],
    }
    made["pricing"]["unit_amount_decimal"] = item["price"]["unit_amount_decimal"]
    made.update(quantity=item["quantity"], quantity_decimal=str(item["quantity"]))
    return made


def line(
    invoice: Object, amount: int, description: str | None, metadata: Object | None = None
) -> Object:
    return {
        "id": new_id("il"),
        "object": "line_item",
        "amount": amount,
        "currency": invoice["currency"],
        "description": description,
        "discount_amounts": [],
        "discountable": True,
        "discounts": [],
        "invoice": invoice["id"],
        "livemode": False,
        "metadata": metadata or {},
        "parent": {
            "invoice_item_details": {
                "invoice_item": new_id("ii"),
                "proration": False,
                "proration_details": None,
                "subscription": None,
            },
            "subscription_item_details": None,
            "type": "invoice_item_details",
        },
        "period": {"end": invoice["created"], "start": invoice["created"]},
        "pretax_credit_amounts": [],
        "pricing": {
            "price_details": {"price": new_id("price"), "product": new_id("prod")},
            "type": "price_details",
            "unit_amount_decimal": str(amount),
        },
        "quantity": 1,
        "quantity_decimal": "1",
        "subtotal": amount,
        "taxes": [],
    }


def add_payment(
    unit: Unit, invoice: Object, intent: Object, *, is_default: bool = True, is_paid: bool = True
) -> Object:
    return unit.add(
        "inpay",
        PAYMENT_KIND,
        amount_paid=invoice["amount_paid"] if is_paid else None,
        amount_requested=invoice["amount_due"],
        currency=invoice["currency"],
        invoice=invoice["id"],
        is_default=is_default,
        livemode=False,
        payment={"payment_intent": intent["id"], "type": "payment_intent"},
        status="paid" if is_paid else "open",
        status_transitions={"canceled_at": None, "paid_at": unit.now if is_paid else None},
    )


def payments_of(unit: Unit, invoice_id: str) -> Object:
    found = [one for one in unit.all(PAYMENT_KIND) if one["invoice"] == invoice_id]
    return list_object(f"/v1/invoice_payments?invoice={invoice_id}", found)


def retrieve(call: Call) -> Object:
    """GET /v1/invoices/{id}"""
    return call.unit.get(KIND, call.id)


def list_(call: Call) -> Object:
    """GET /v1/invoices"""
    given = call.params
    return page(
        call,
        KIND,
        lambda one: all(given.get(name) in (None, one[name]) for name in ("customer", "status")),
    )


def list_payments(call: Call) -> Object:
    """GET /v1/invoice_payments"""
    invoice, status = call.params.get("invoice"), call.params.get("status")
    intent = call.params.get("payment", {}).get("payment_intent")
    return page(
        call,
        PAYMENT_KIND,
        lambda one: (
            invoice in (None, one["invoice"])
            and status in (None, one["status"])
            and intent in (None, one["payment"]["payment_intent"])
        ),
    )
