"""Customers."""

from typing import Any

from sandbox.stripe import payment_methods, tax_ids
from sandbox.stripe.addresses import address_of
from sandbox.stripe.call import Call
from sandbox.stripe.errors import InvalidRequestError
from sandbox.stripe.lists import page
from sandbox.stripe.metadata import merged, take
from sandbox.stripe.store import Object, Unit, new_id

KIND = "customer"


def make(unit: Unit, **fields: Any) -> Object:
    made: Object = {
        "address": None,
        "balance": 0,
        "currency": None,
        "default_source": None,
        "delinquent": False,
        "description": None,
        "discount": None,
        "email": None,
        "invoice_prefix": new_id("")[1:9].upper(),
        "invoice_settings": {
            "custom_fields": None,
            "default_payment_method": None,
            "footer": None,
            "rendering_options": None,
        },
        "livemode": False,
        "metadata": {},
        "name": None,
        "next_invoice_sequence": 1,
        "phone": None,
        "preferred_locales": [],
        "shipping": None,
        "tax_exempt": "none",
        "test_clock": None,
    }
    return unit.add("cus", KIND, **{**made, **fields})


def set_fields(call: Call, customer: Object) -> None:
    given = call.params
    take(customer, given, "description", "email", "name", "phone")
    if "@" not in (customer["email"] or "@"):
        raise InvalidRequestError(
            f"Invalid email address: {customer['email']}", code="email_invalid", param="email"
        )
    if "preferred_locales" in given:
        customer["preferred_locales"] = given["preferred_locales"]
    if "tax_exempt" in given:
        customer["tax_exempt"] = given["tax_exempt"] or "none"
    if "address" in given:
        customer["address"] = address_of(given["address"], customer["address"])
    customer["metadata"] = merged(customer["metadata"], given.get("metadata"))
    settings = given.get("invoice_settings", {})
    take(customer["invoice_settings"], settings, "footer", "custom_fields")
    if method_id := settings.get("default_payment_method"):
        name = "invoice_settings[default_payment_method]"
        method = call.unit.get("payment_method", method_id, param=name)
        if method["customer"] != customer["id"]:
            raise InvalidRequestError(
                f"The customer does not have a payment method with the ID {method_id}. The "
                "payment method must be attached to the customer.",
                code="resource_missing",
                param=name,
            )
    take(customer["invoice_settings"], settings, "default_payment_method")


def create(call: Call) -> Object:
    """POST /v1/customers"""
    customer = make(call.unit)
    if token := call.params.get("payment_method"):
        method = payment_methods.take(call.unit, token, param="payment_method")
        payment_methods.attach(call.unit, method, customer["id"])
        # It may be named as the default in the same call.
        settings = call.params.get("invoice_settings", {})
        if settings.get("default_payment_method") == token:
            settings["default_payment_method"] = method["id"]
    set_fields(call, customer)
    call.unit.emit("customer.created", customer)
    for given in call.params.get("tax_id_data", []):
        tax_ids.add(call.unit, customer["id"], given["type"], given["value"])
    return customer


def update(call: Call) -> Object:
    """POST /v1/customers/{id}"""
    customer = call.unit.get(KIND, call.id)
    set_fields(call, customer)
    if customer != call.unit.store.find(KIND, call.id):
        call.unit.emit("customer.updated", customer)
    return customer


def retrieve(call: Call) -> Object:
    """GET /v1/customers/{id}: of a deleted one, that it is deleted."""
    found = call.unit.find(KIND, call.id)
    return found if found is not None else call.unit.get(KIND, call.id)


def list_(call: Call) -> Object:
    """GET /v1/customers"""
    email = call.params.get("email")
    return page(
        call,
        KIND,
        lambda one: not one.get("deleted") and (email is None or one["email"] == email),
    )


def delete(call: Call) -> Object:
    """DELETE /v1/customers/{id}"""
    customer = call.unit.get(KIND, call.id)
    call.unit.emit("customer.deleted", customer)
    for method in list(call.unit.all("payment_method")):
        if method["customer"] == call.id:
            payment_methods.let_go(call.unit, call.unit.get("payment_method", method["id"]))
    return call.unit.keep({"id": call.id, "object": KIND, "deleted": True})
