"""Invoices by API, and paid by what was paid before."""

from typing import Any

import pytest
import requests
import stripe

from sandbox.stripe.tests.stand_in import StandIn
from sandbox.stripe.tests.test_shapes import CLASSES, problems


@pytest.fixture
def paid(client: stripe.StripeClient, customer: Any) -> Any:
    """A payment of $20 by a card, without any invoice."""
    return pay(client, customer.id)


def pay(client: stripe.StripeClient, customer_id: str, **changes: Any) -> Any:
    return client.v1.payment_intents.create(
        {
            "amount": 2000,
            "currency": "usd",
            "customer": customer_id,
            "payment_method": "pm_card_visa",
            "allowed_payment_method_types": ["card"],
            "confirm": True,
            **changes,
        }
    )


def opened(client: stripe.StripeClient, customer_id: str) -> Any:
    draft = client.v1.invoices.create({"customer": customer_id, "auto_advance": False})
    client.v1.invoices.add_lines(draft.id, {"lines": [{"amount": 2000, "description": "Credit"}]})
    return client.v1.invoices.finalize_invoice(draft.id)


def test_a_draft_becomes_an_invoice_and_is_paid_by_a_payment(
    client: stripe.StripeClient, customer: Any, paid: Any
) -> None:
    draft = client.v1.invoices.create({"customer": customer.id, "metadata": {"top_up": "9"}})
    assert (draft.status, draft.total, draft.hosted_invoice_url) == ("draft", 0, None)
    lines: Any = [{"amount": 1900, "description": "Credit"}, {"amount": 100, "description": "Fee"}]
    client.v1.invoices.add_lines(draft.id, {"lines": lines})

    issued = client.v1.invoices.finalize_invoice(draft.id)
    assert (issued.status, issued.amount_due, issued.amount_paid) == ("open", 2000, 0)
    assert issued.number
    assert "not paid yet" in requests.get(str(issued.hosted_invoice_url), timeout=5).text
    done = client.v1.invoices.attach_payment(
        draft.id, {"payment_intent": paid.id, "expand": ["payments"]}
    )

    assert (done.status, done.amount_paid, done.amount_remaining) == ("paid", 2000, 0)
    page = requests.get(str(done.hosted_invoice_url), timeout=5).text
    assert "Date paid" in page
    assert "Fee × 1" in page
    states = {one.status: one.payment.payment_intent for one in done.payments.data}  # type: ignore[union-attr]
    assert states["paid"] == paid.id
    # The intent that it came with is of no use any more.
    assert client.v1.payment_intents.retrieve(str(states["canceled"])).status == "canceled"


def test_each_state_has_the_shape_of_its_class(
    client: stripe.StripeClient, customer: Any, paid: Any
) -> None:
    draft = client.v1.invoices.create({"customer": customer.id})
    issued = opened(client, customer.id)
    payments = client.v1.invoice_payments.list({"invoice": issued.id}).data
    done = client.v1.invoices.attach_payment(issued.id, {"payment_intent": paid.id})

    for one in (draft, issued, done, *payments):
        assert problems(one.to_dict(), CLASSES[one.object], one.object) == []


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"amount": 1999}, "payments in parts"),
        ({"currency": "eur"}, "customer and currency"),
        ({"confirm": False}, "payments in parts"),
    ],
)
def test_what_is_not_its_payment_is_refused(
    client: stripe.StripeClient, customer: Any, changes: dict[str, Any], words: str
) -> None:
    issued = opened(client, customer.id)
    other = pay(client, customer.id, **changes)

    with pytest.raises(stripe.InvalidRequestError, match=words):
        client.v1.invoices.attach_payment(issued.id, {"payment_intent": other.id})

    assert client.v1.invoices.retrieve(issued.id).status == "open"


def test_a_payment_pays_one_invoice(client: stripe.StripeClient, customer: Any, paid: Any) -> None:
    first, second = opened(client, customer.id), opened(client, customer.id)
    client.v1.invoices.attach_payment(first.id, {"payment_intent": paid.id})

    with pytest.raises(stripe.InvalidRequestError, match="attached to an invoice already"):
        client.v1.invoices.attach_payment(second.id, {"payment_intent": paid.id})
    with pytest.raises(stripe.InvalidRequestError, match="open invoices"):
        client.v1.invoices.attach_payment(first.id, {"payment_intent": paid.id})


def test_what_is_finalized_stays_as_it_is(client: stripe.StripeClient, customer: Any) -> None:
    issued = opened(client, customer.id)

    with pytest.raises(stripe.InvalidRequestError, match="no longer a draft"):
        client.v1.invoices.add_lines(issued.id, {"lines": [{"amount": 1}]})
    with pytest.raises(stripe.InvalidRequestError, match="no longer a draft"):
        client.v1.invoices.finalize_invoice(issued.id)


@pytest.mark.parametrize(
    "wish", [{"auto_advance": True}, {"collection_method": "send_invoice", "days_until_due": 3}]
)
def test_what_it_does_not_do_by_itself_is_refused(
    client: stripe.StripeClient, customer: Any, wish: dict[str, Any]
) -> None:
    with pytest.raises(stripe.InvalidRequestError, match="does not serve"):
        client.v1.invoices.create({"customer": customer.id, **wish})


def test_a_draft_has_no_page(stand_in: StandIn, client: stripe.StripeClient, customer: Any) -> None:
    draft = client.v1.invoices.create({"customer": customer.id})

    assert requests.get(f"{stand_in.url}/i/{draft.id}/guess", timeout=5).status_code == 404
