"""Invoices that Checkout makes of a payment, and their payments."""

from sandbox.stripe import tax_ids
from sandbox.stripe.call import Call
from sandbox.stripe.lists import list_object, page
from sandbox.stripe.store import Object, Unit, new_id

KIND = "invoice"
PAYMENT_KIND = "invoice_payment"


def make_paid(unit: Unit, session: Object, intent: Object) -> Object:
    """The invoice of a session that was just paid."""
    customer = unit.get("customer", session["customer"])
    data = session["invoice_creation"]["invoice_data"]
    number = f"{customer['invoice_prefix']}-{customer['next_invoice_sequence']:04}"
    customer["next_invoice_sequence"] += 1
    total = session["amount_total"]
    invoice = unit.add(
        "in",
        KIND,
        account_country="US",
        account_name="AgentFlare sandbox",
        account_tax_ids=None,
        amount_due=total,
        amount_overpaid=0,
        amount_paid=total,
        amount_remaining=0,
        amount_shipping=0,
        application=None,
        attempt_count=1,
        attempted=True,
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
        currency=session["currency"],
        custom_fields=data["custom_fields"],
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
        description=data["description"],
        discounts=[],
        due_date=None,
        effective_at=unit.now,
        ending_balance=0,
        footer=data["footer"],
        from_invoice=None,
        issuer={"type": "self"},
        last_finalization_error=None,
        latest_revision=None,
        livemode=False,
        metadata=data["metadata"] or {},
        next_payment_attempt=None,
        number=number,
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
        status="paid",
        status_transitions={
            "finalized_at": unit.now,
            "marked_uncollectible_at": None,
            "paid_at": unit.now,
            "voided_at": None,
        },
        subtotal=total,
        subtotal_excluding_tax=total,
        test_clock=None,
        total=total,
        total_discount_amounts=[],
        total_excluding_tax=total,
        total_pretax_credit_amounts=[],
        total_taxes=[],
        webhooks_delivered_at=unit.now,
    )
    invoice["lines"] = list_object(
        f"/v1/invoices/{invoice['id']}/lines",
        [line(unit, invoice, item) for item in session["_line_items"]],
    )
    # Not to be guessed: whoever has the address may read it.
    page_url = f"{unit.url}/i/{invoice['id']}/{new_id('s')}"
    invoice.update(hosted_invoice_url=page_url, invoice_pdf=f"{page_url}/pdf")
    payment = add_payment(unit, invoice, intent)
    for type_ in ("created", "finalized", "paid", "payment_succeeded"):
        unit.emit(f"invoice.{type_}", invoice)
    unit.emit("invoice_payment.paid", payment)
    return invoice


def line(unit: Unit, invoice: Object, item: Object) -> Object:
    return {
        "id": new_id("il"),
        "object": "line_item",
        "amount": item["amount_total"],
        "currency": item["currency"],
        "description": item["description"],
        "discount_amounts": [],
        "discountable": True,
        "discounts": [],
        "invoice": invoice["id"],
        "livemode": False,
        "metadata": {},
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
        "period": {"end": unit.now, "start": unit.now},
        "pretax_credit_amounts": [],
        "pricing": {
            "price_details": {
                "price": item["price"]["id"],
                "product": item["price"]["product"],
            },
            "type": "price_details",
            "unit_amount_decimal": item["price"]["unit_amount_decimal"],
        },
        "quantity": item["quantity"],
        "quantity_decimal": str(item["quantity"]),
        "subtotal": item["amount_subtotal"],
        "taxes": [],
    }


def add_payment(unit: Unit, invoice: Object, intent: Object) -> Object:
    return unit.add(
        "inpay",
        PAYMENT_KIND,
        amount_paid=invoice["amount_paid"],
        amount_requested=invoice["amount_due"],
        currency=invoice["currency"],
        invoice=invoice["id"],
        is_default=True,
        livemode=False,
        payment={"payment_intent": intent["id"], "type": "payment_intent"},
        status="paid",
        status_transitions={"canceled_at": None, "paid_at": unit.now},
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
