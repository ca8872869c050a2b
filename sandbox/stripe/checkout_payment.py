"""What happens when somebody presses Pay on the Checkout page."""

from dataclasses import dataclass, field
from typing import Any

from sandbox.stripe import (
    customers,
    invoices,
    payment_intents,
    payment_methods,
    payments,
    setup_intents,
    tax_ids,
)
from sandbox.stripe.addresses import address_of
from sandbox.stripe.metadata import merged
from sandbox.stripe.store import Object, Unit


@dataclass
class Buyer:
    """What was entered on the page, checked for its form.

    saved_method: of the customer, instead of a number.
    """

    email: str
    name: str = ""
    number: str = ""
    exp_month: int = 0
    exp_year: int = 0
    saved_method: str = ""
    saves_card: bool = False
    address: dict[str, Any] = field(default_factory=dict)
    tax_id_type: str = ""
    tax_id: str = ""
    business_name: str = ""


def pay(unit: Unit, session: Object, buyer: Buyer) -> Object:
    """Pay, or save the card. Returns the intent: succeeded, or waiting for 3-D Secure.

    Raises PaymentFailedError when the card is declined; the session stays open, and the
    unit is to be committed all the same. Raises CardError and InvalidRequestError with
    nothing done.
    """
    ensure_customer(unit, session, buyer)
    method = method_of(unit, session, buyer)
    session["_buyer"] = {
        name: getattr(buyer, name)
        for name in ("email", "name", "address", "tax_id_type", "tax_id", "business_name")
    }
    session["_saves_card"] = buyer.saves_card
    if session["mode"] == "setup":
        intent = unit.get("setup_intent", session["setup_intent"])
        intent.update(payment_method=method["id"], customer=session["customer"])
        setup_intents.attempt(unit, intent)
    else:
        intent = intent_of(unit, session)
        payment_intents.use_method(unit, intent, {"payment_method": method["id"]})
        payments.attempt(unit, intent)
    if intent["status"] == "succeeded":
        complete(unit, session, intent)
    return intent


def authenticate(unit: Unit, intent: Object, *, succeeds: bool) -> None:
    """The cardholder's answer to 3-D Secure. Raises PaymentFailedError as `pay` does."""
    is_setup = intent["object"] == "setup_intent"
    if not succeeds:
        method = unit.get("payment_method", intent["payment_method"])
        fail = setup_intents.fail if is_setup else payments.fail
        refusal = payments.AUTHENTICATION_FAILED
        if is_setup:
            refusal = {**refusal, "code": "setup_intent_authentication_failure"}
        fail(unit, intent, method, refusal)
    if is_setup:
        setup_intents.attempt(unit, intent, is_authenticated=True)
    else:
        payments.attempt(unit, intent, is_authenticated=True)
    if session_id := intent.get("_session"):
        complete(unit, unit.get("checkout.session", session_id), intent)


def ensure_customer(unit: Unit, session: Object, buyer: Buyer) -> None:
    """A customer where the session wants one: to keep the card, or because it was told so."""
    wanted = (
        session["customer_creation"] == "always"
        or session["_payment_intent_data"].get("setup_future_usage")
        or buyer.saves_card
        or (session["invoice_creation"] or {}).get("enabled")
    )
    if session["customer"] or not wanted:
        return
    customer = customers.make(
        unit, email=buyer.email, name=buyer.name or None, address=full(buyer.address)
    )
    unit.emit("customer.created", customer)
    session["customer"] = customer["id"]


def full(address: dict[str, Any]) -> dict[str, Any] | None:
    """With all its fields; none when nothing was entered."""
    return address_of(address) if address else None


def method_of(unit: Unit, session: Object, buyer: Buyer) -> Object:
    if buyer.saved_method:
        method = unit.get("payment_method", buyer.saved_method, param="payment_method")
        if method["customer"] != session["customer"] or not method["customer"]:
            unit.get("payment_method", "of another customer")
        return method
    details: Object = {"email": buyer.email, "name": buyer.name or None}
    if buyer.address:
        details["address"] = full(buyer.address)
    keeps = session["mode"] == "setup" or session["_payment_intent_data"].get("setup_future_usage")
    return payment_methods.make(
        unit,
        buyer.number,
        exp_month=buyer.exp_month,
        exp_year=buyer.exp_year,
        details=details,
        allow_redisplay="always" if buyer.saves_card else "limited" if keeps else "unspecified",
    )


def intent_of(unit: Unit, session: Object) -> Object:
    """The session's PaymentIntent: made at the first press of Pay, kept for the next."""
    data = session["_payment_intent_data"]
    if session["payment_intent"]:
        intent = unit.get("payment_intent", session["payment_intent"])
        intent["customer"] = session["customer"]
        return intent
    fields = {name: data[name] for name in data if name not in ("metadata", "capture_method")}
    intent = payment_intents.make(
        unit,
        session["amount_total"],
        session["currency"],
        customer=session["customer"],
        metadata=merged({}, data.get("metadata")),
        **fields,
    )
    intent["_session"] = session["id"]
    session["payment_intent"] = intent["id"]
    unit.emit("payment_intent.created", intent)
    return intent


def complete(unit: Unit, session: Object, intent: Object) -> None:
    """The session after its intent has succeeded."""
    buyer = session["_buyer"]
    customer = unit.find("customer", session["customer"]) if session["customer"] else None
    method = unit.get("payment_method", intent["payment_method"])
    if customer and session["_saves_card"] and method["customer"] is None:
        method["_is_detached"] = False
        payment_methods.attach(unit, method, customer["id"])
    if customer:
        update_customer(unit, session, customer, buyer)
    session.update(
        status="complete",
        url=None,
        customer_details={
            "address": full(buyer["address"]) or address_of({}),
            "business_name": buyer["business_name"] or None,
            "email": buyer["email"],
            "individual_name": buyer["name"] or None,
            "name": buyer["business_name"] or buyer["name"] or None,
            "phone": None,
            "tax_exempt": "none",
            "tax_ids": [{"type": buyer["tax_id_type"], "value": buyer["tax_id"]}]
            if buyer["tax_id"]
            else [],
        },
    )
    if session["mode"] == "payment":
        session["payment_status"] = "paid"
        if session["invoice_creation"]["enabled"]:
            session["invoice"] = invoices.make_paid(unit, session, intent)["id"]
    unit.emit("checkout.session.completed", session)


def update_customer(unit: Unit, session: Object, customer: Object, buyer: Object) -> None:
    wanted = session["_customer_update"]
    before = dict(customer)
    if wanted.get("name") == "auto" and (name := buyer["business_name"] or buyer["name"]):
        customer["name"] = name
    if wanted.get("address") == "auto" and buyer["address"]:
        customer["address"] = full(buyer["address"])
    if not customer["email"]:
        customer["email"] = buyer["email"]
    if customer != before:
        unit.emit("customer.updated", customer)
    if buyer["tax_id"]:
        known = [one["value"] for one in tax_ids.of_customer(unit, customer["id"])]
        if buyer["tax_id"] not in known:
            tax_ids.add(unit, customer["id"], buyer["tax_id_type"], buyer["tax_id"])
