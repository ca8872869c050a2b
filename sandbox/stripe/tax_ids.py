"""Tax ids of customers; a few kinds are checked for their form, as Stripe does."""

import re

from sandbox.stripe.call import Call
from sandbox.stripe.errors import InvalidRequestError
from sandbox.stripe.lists import page
from sandbox.stripe.store import Object, Unit

KIND = "tax_id"

FORMS = {
    "eu_vat": r"[A-Z]{2}[A-Z0-9]{8,12}",
    "gb_vat": r"(GB|XI)(\d{9}|\d{12})",
    "ch_vat": r"CHE-?\d{3}\.?\d{3}\.?\d{3} ?(MWST|TVA|IVA)",
    "us_ein": r"\d{2}-?\d{7}",
    "au_abn": r"\d{11}",
    "no_vat": r"\d{9}MVA",
    "in_gst": r"\d{2}[A-Z]{5}\d{4}[A-Z][A-Z0-9]{3}",
    "ca_bn": r"\d{9}",
}

# These Stripe looks up with the authorities; the stand-in finds all of them in order.
LOOKED_UP = frozenset({"eu_vat", "gb_vat", "au_abn"})


def add(unit: Unit, customer_id: str, type_: str, value: str) -> Object:
    """Raises InvalidRequestError when the value has not the form of its type."""
    value = value.strip()
    if not re.fullmatch(FORMS.get(type_, r".+"), value.upper()):
        raise InvalidRequestError(
            f"Invalid value for {type_}.", code="tax_id_invalid", param="value"
        )
    status = "verified" if type_ in LOOKED_UP else "unavailable"
    made = unit.add(
        "txi",
        KIND,
        country="GB"
        if type_ == "gb_vat"
        else value[:2].upper()
        if type_ == "eu_vat"
        else type_[:2].upper(),
        customer=customer_id,
        livemode=False,
        owner={"customer": customer_id, "type": "customer"},
        type=type_,
        value=value,
        verification={"status": status, "verified_address": None, "verified_name": None},
    )
    unit.emit("customer.tax_id.created", made)
    return made


def of_customer(unit: Unit, customer_id: str) -> list[Object]:
    return [
        one
        for one in unit.all(KIND)
        if one.get("customer") == customer_id and not one.get("deleted")
    ]


def create(call: Call) -> Object:
    """POST /v1/customers/{id}/tax_ids"""
    call.unit.get("customer", call.id)
    return add(call.unit, call.id, call.params["type"], call.params["value"])


def list_(call: Call) -> Object:
    """GET /v1/customers/{id}/tax_ids"""
    call.unit.get("customer", call.id)
    return page(call, KIND, lambda one: one.get("customer") == call.id and not one.get("deleted"))


def retrieve(call: Call) -> Object:
    """GET /v1/customers/{id}/tax_ids/{tax_id}"""
    call.unit.get("customer", call.id)
    found = call.unit.get(KIND, call.ids[1])
    if found["customer"] != call.id:
        call.unit.get(KIND, "of another customer")
    return found


def delete(call: Call) -> Object:
    """DELETE /v1/customers/{id}/tax_ids/{tax_id}"""
    found = retrieve(call)
    call.unit.emit("customer.tax_id.deleted", found)
    return call.unit.keep({"id": found["id"], "object": KIND, "deleted": True})
