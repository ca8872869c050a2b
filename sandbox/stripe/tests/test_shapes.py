"""Every object has the fields that the package's classes say it has, and no others."""

import sys
import typing
from typing import Any

import pytest
import requests
import stripe

from sandbox.stripe.parameters import fields_of, model_class
from sandbox.stripe.routes import ROUTES
from sandbox.stripe.tests.stand_in import SECRET_KEY, StandIn
from sandbox.stripe.tests.test_checkout import create

CLASSES: dict[str, Any] = {
    "balance": stripe.Balance,
    "balance_transaction": stripe.BalanceTransaction,
    "billing_portal.session": stripe.billing_portal.Session,
    "charge": stripe.Charge,
    "checkout.session": stripe.checkout.Session,
    "customer": stripe.Customer,
    "dispute": stripe.Dispute,
    "event": stripe.Event,
    "invoice": stripe.Invoice,
    "invoice_payment": stripe.InvoicePayment,
    "item": stripe.LineItem,
    "line_item": stripe.InvoiceLineItem,
    "payment_intent": stripe.PaymentIntent,
    "payment_method": stripe.PaymentMethod,
    "price": stripe.Price,
    "refund": stripe.Refund,
    "setup_intent": stripe.SetupIntent,
    "tax_id": stripe.TaxId,
    "webhook_endpoint": stripe.WebhookEndpoint,
}


def is_optional(annotation: Any) -> bool:
    return "Optional[" in str(annotation) or "NoneType" in str(annotation)


def problems(found: Any, model: Any, path: str) -> list[str]:
    """Fields too many or missing, in the object and the parts of it that have a class."""
    known = {
        name: annotation
        for name, annotation in vars(model).get("__annotations__", {}).items()
        if "ClassVar" not in str(annotation)
    }
    wrong = [f"{path}.{name} is unknown" for name in found.keys() - known.keys()]
    wrong += [
        f"{path}.{name} is missing"
        for name, annotation in known.items()
        if name not in found and not is_optional(annotation)
    ]
    for name, value in found.items():
        part = part_class(known.get(name), model)
        for one in value if isinstance(value, list) else [value]:
            if part is not None and isinstance(one, dict) and "object" not in one:
                wrong += problems(one, part, f"{path}.{name}")
    return wrong


def part_class(annotation: Any, model: Any) -> Any:
    """The class of a part that is written within its object's class."""
    for word in str(annotation).replace("[", " ").replace("]", " ").replace("'", " ").split():
        part = getattr(model, word.rpartition(".")[2], None)
        if isinstance(part, type) and issubclass(part, stripe.StripeObject):
            return part
    return None


def objects_in(value: Any) -> typing.Iterator[dict[str, Any]]:
    if isinstance(value, dict):
        # An event's data has an object below that name.
        if str(value.get("object")) in CLASSES:
            yield value
        value = list(value.values())
    if isinstance(value, list):
        for one in value:
            yield from objects_in(one)


def test_every_object_has_the_shape_of_its_class(stand_in: StandIn) -> None:
    client = stand_in.client
    customer = client.v1.customers.create({"email": "a@b.c"})
    card = client.v1.payment_methods.attach("pm_card_visa", {"customer": customer.id})
    client.v1.customers.tax_ids.create(customer.id, {"type": "us_ein", "value": "123456789"})
    client.v1.webhook_endpoints.create({"url": "http://127.0.0.1:1/", "enabled_events": ["*"]})
    session = create(client, customer=customer.id, invoice_creation={"enabled": True})
    stand_in.pay(session, cardNumber="4000000000000002")
    stand_in.pay(session)
    intent = client.v1.checkout.sessions.retrieve(session.id).payment_intent
    client.v1.refunds.create({"payment_intent": intent, "amount": 100})
    stand_in.control("POST", f"charges/{intent}/dispute")
    setup = client.v1.checkout.sessions.create(
        {"mode": "setup", "currency": "usd", "customer": customer.id, "success_url": "http://x/"}
    )
    stand_in.pay(setup, cardNumber="4000002500003155")
    portal = client.v1.billing_portal.sessions.create({"customer": customer.id})
    seen = [portal.to_dict(), card.to_dict()]
    lists = [one.path for one in ROUTES if one.method == "GET" and "{" not in one.path] + [
        f"/v1/checkout/sessions/{session.id}/line_items",
        f"/v1/customers/{customer.id}/tax_ids",
    ]
    for path in lists:
        answer = requests.get(
            f"{stand_in.url}{path}", auth=(SECRET_KEY, ""), timeout=5,
            params={} if path == "/v1/balance" else {"limit": 100},
        )  # fmt: skip
        seen.append(answer.json())

    found = [one for answer in seen for one in objects_in(answer)]

    wrong = [
        problem
        for one in found
        for problem in problems(one, CLASSES[one["object"]], one["object"])
        if not one.get("deleted")
    ]
    assert "\n".join(sorted(set(wrong))) == ""
    assert {one["object"] for one in found} == set(CLASSES)


@pytest.mark.parametrize("one", ROUTES, ids=lambda one: f"{one.method} {one.path}")
def test_every_parameter_that_is_served_is_known_to_the_package(one: Any) -> None:
    model = model_class(one.parameters.model)

    assert {name.partition(".")[0] for name in one.parameters.serves} <= {
        *fields_of(model),
        # Asked of all alike, and not of each in the package.
        "expand",
        "created",
    }
    assert model.__module__ in sys.modules
