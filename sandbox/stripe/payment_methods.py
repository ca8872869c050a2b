"""Payment methods: cards alone."""

import hashlib
from datetime import UTC, datetime
from typing import Any

from sandbox.stripe.addresses import FIELDS, address_of
from sandbox.stripe.call import Call
from sandbox.stripe.cards import CARDS, TOKENS, Card, decline
from sandbox.stripe.errors import CardError, InvalidRequestError
from sandbox.stripe.lists import page
from sandbox.stripe.metadata import merged
from sandbox.stripe.metadata import take as take_fields
from sandbox.stripe.store import Object, Unit

KIND = "payment_method"


def make(
    unit: Unit,
    number: str,
    *,
    exp_month: int = 12,
    exp_year: int | None = None,
    details: Object | None = None,
    allow_redisplay: str = "unspecified",
) -> Object:
    card = CARDS[number]
    return unit.add(
        "pm",
        KIND,
        allow_redisplay=allow_redisplay,
        billing_details={
            "address": dict.fromkeys(FIELDS),
            "email": None,
            "name": None,
            "phone": None,
            "tax_id": None,
            **(details or {}),
        },
        card={
            "brand": card.brand,
            "checks": {
                "address_line1_check": None,
                "address_postal_code_check": None,
                "cvc_check": "pass",
            },
            "country": "US",
            "display_brand": card.brand,
            "exp_month": exp_month,
            "exp_year": exp_year or datetime.now(UTC).year + 3,
            "fingerprint": hashlib.sha256(number.encode()).hexdigest()[:16],
            "funding": card.funding,
            "generated_from": None,
            "last4": card.last4,
            "networks": {"available": [card.brand], "preferred": None},
            "regulated_status": "unregulated",
            "three_d_secure_usage": {"supported": True},
            "wallet": None,
        },
        customer=None,
        livemode=False,
        metadata={},
        type="card",
        _number=number,
        # Whether it was saved with the cardholder's authentication.
        _is_set_up=False,
    )


def card_of(method: Object) -> Card:
    return CARDS[method["_number"]]


def take(unit: Unit, method_id: str, *, param: str = "") -> Object:
    """The payment method; a fresh one for a test account's token like `pm_card_visa`."""
    if method_id in TOKENS:
        return make(unit, TOKENS[method_id])
    return unit.get(KIND, method_id, param=param)


def attach(unit: Unit, method: Object, customer_id: str) -> None:
    """Raises CardError when the bank declines, InvalidRequestError for another's method."""
    if method["customer"] == customer_id:
        return
    if method["customer"] is not None:
        raise InvalidRequestError(
            "The payment method you provided has already been attached to a customer.",
            code="payment_method_already_attached",
        )
    if refusal := decline(card_of(method), is_saving=True):
        raise CardError(refusal.pop("message"), param="", **refusal)
    method["customer"] = customer_id
    unit.emit("payment_method.attached", method)


def let_go(unit: Unit, method: Object) -> None:
    """From its customer, for good: it can never be used again."""
    customer = unit.find("customer", method["customer"])
    method["customer"] = None
    method["_is_detached"] = True
    unit.emit("payment_method.detached", method)
    if customer is None or customer.get("deleted"):
        return
    settings = customer["invoice_settings"]
    if settings["default_payment_method"] == method["id"]:
        settings["default_payment_method"] = None
        unit.emit("customer.updated", customer)


def of_customer(unit: Unit, customer_id: str) -> list[Object]:
    """Newest first."""
    return [one for one in unit.all(KIND) if one["customer"] == customer_id][::-1]


def retrieve(call: Call) -> Object:
    """GET /v1/payment_methods/{id}"""
    return take(call.unit, call.id)


def list_(call: Call) -> Object:
    """GET /v1/payment_methods, and below a customer"""
    customer_id = call.ids[0] if call.ids else call.params.get("customer")
    if customer_id is None:
        # Without a customer Stripe lists those that are of none and can't be used again.
        return page(call, KIND, lambda one: False)
    call.unit.get("customer", customer_id, param="" if call.ids else "customer")
    wanted = call.params.get("type", "card")
    redisplay = call.params.get("allow_redisplay")
    return page(
        call,
        KIND,
        lambda one: (
            one["customer"] == customer_id
            and one["type"] == wanted
            and redisplay in (None, one["allow_redisplay"])
        ),
    )


def update(call: Call) -> Object:
    """POST /v1/payment_methods/{id}"""
    method = call.unit.get(KIND, call.id)
    if method["customer"] is None:
        raise InvalidRequestError(
            "You must save this PaymentMethod to a customer before you can update it."
        )
    method["metadata"] = merged(method["metadata"], call.params.get("metadata"))
    take_fields(method, call.params, "allow_redisplay")
    take_fields(method["card"], call.params.get("card", {}), "exp_month", "exp_year")
    details: dict[str, Any] = call.params.get("billing_details", {})
    take_fields(method["billing_details"], details, "email", "name", "phone")
    if "address" in details:
        old = method["billing_details"]["address"]
        method["billing_details"]["address"] = address_of(details["address"], old) or old
    call.unit.emit("payment_method.updated", method)
    return method


def attach_call(call: Call) -> Object:
    """POST /v1/payment_methods/{id}/attach"""
    customer_id = call.params.get("customer")
    if customer_id is None:
        raise InvalidRequestError(
            "Missing required param: customer.", code="parameter_missing", param="customer"
        )
    call.unit.get("customer", customer_id, param="customer")
    method = take(call.unit, call.id)
    if method.get("_is_detached"):
        raise InvalidRequestError(
            "This PaymentMethod was previously used without being attached to a Customer or was "
            "detached from a Customer, and may not be used again."
        )
    attach(call.unit, method, customer_id)
    return method


def detach(call: Call) -> Object:
    """POST /v1/payment_methods/{id}/detach"""
    method = call.unit.get(KIND, call.id)
    if method["customer"] is None:
        raise InvalidRequestError(
            "The payment method you provided is not attached to a customer so detachment is "
            "impossible."
        )
    let_go(call.unit, method)
    return method
