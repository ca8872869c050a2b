"""Billing portal sessions: the address of a page with a customer's cards and invoices."""

from sandbox.stripe.call import Call
from sandbox.stripe.errors import InvalidRequestError
from sandbox.stripe.store import Object, new_id

KIND = "billing_portal.session"


def create(call: Call) -> Object:
    """POST /v1/billing_portal/sessions"""
    unit, given = call.unit, call.params
    if "customer" not in given:
        raise InvalidRequestError(
            "Missing required param: customer.", code="parameter_missing", param="customer"
        )
    unit.get("customer", given["customer"], param="customer")
    session = unit.add(
        "bps",
        KIND,
        configuration="bpc_sandbox",
        customer=given["customer"],
        customer_account=None,
        flow=None,
        livemode=False,
        locale=None,
        on_behalf_of=None,
        return_url=given.get("return_url"),
    )
    session["url"] = f"{unit.url}/p/session/{new_id('test')}"
    session["_secret"] = session["url"].rpartition("/")[2]
    return session
