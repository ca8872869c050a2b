from typing import Any

import pytest
import requests
import stripe

from sandbox.stripe.tests.stand_in import StandIn


def charge(client: stripe.StripeClient, customer: Any, method: str, **more: Any) -> Any:
    return client.v1.payment_intents.create(
        {
            "amount": 2500,
            "currency": "usd",
            "customer": customer.id,
            "payment_method": method,
            "off_session": True,
            "confirm": True,
            **more,
        }
    )


def saved(client: stripe.StripeClient, customer: Any, token: str = "pm_card_visa") -> str:
    return client.v1.payment_methods.attach(token, {"customer": customer.id}).id


def test_a_saved_card_is_charged_without_its_owner(
    client: stripe.StripeClient, customer: Any
) -> None:
    intent = charge(
        client,
        customer,
        saved(client, customer),
        metadata={"top_up": "1"},
        expand=["latest_charge.balance_transaction"],
    )

    assert (intent.status, intent.amount_received) == ("succeeded", 2500)
    taken = intent.latest_charge
    assert (taken.paid, taken.amount, taken.metadata["top_up"]) == (True, 2500, "1")
    assert taken.payment_method_details.card.last4 == "4242"
    moved = taken.balance_transaction
    assert (moved.amount, moved.fee, moved.net) == (2500, 103, 2397)
    page = requests.get(taken.receipt_url, timeout=5)
    assert page.status_code == 200
    assert "$25.00" in page.text


@pytest.mark.parametrize(
    ("token", "code", "decline_code"),
    [
        ("pm_card_chargeDeclined", "card_declined", "generic_decline"),
        ("pm_card_chargeDeclinedInsufficientFunds", "card_declined", "insufficient_funds"),
        ("pm_card_chargeCustomerFail", "card_declined", "generic_decline"),
        ("pm_card_authenticationRequired", "authentication_required", "authentication_required"),
    ],
)
def test_a_declined_charge_is_a_card_error_and_takes_nothing(
    client: stripe.StripeClient, customer: Any, token: str, code: str, decline_code: str
) -> None:
    before = client.v1.balance.retrieve()

    with pytest.raises(stripe.CardError) as refusal:
        charge(client, customer, token)

    error = refusal.value.error
    assert (refusal.value.http_status, refusal.value.code) == (402, code)
    assert error.decline_code == decline_code
    intent = client.v1.payment_intents.retrieve(error.payment_intent["id"])
    assert (intent.status, intent.amount_received) == ("requires_payment_method", 0)
    assert intent.last_payment_error.code == code
    assert client.v1.charges.retrieve(error.charge).status == "failed"
    assert client.v1.balance.retrieve() == before


def test_a_card_that_can_be_saved_and_fails_when_charged(
    client: stripe.StripeClient, customer: Any
) -> None:
    method = saved(client, customer, "pm_card_chargeCustomerFail")

    with pytest.raises(stripe.CardError):
        charge(client, customer, method)


def test_a_payment_that_needs_its_owner_is_finished_by_link(
    client: stripe.StripeClient, customer: Any
) -> None:
    """Off-session it fails; the same intent, confirmed on session, leads to 3-D Secure."""
    method = saved(client, customer, "pm_card_authenticationRequired")
    with pytest.raises(stripe.CardError) as refusal:
        charge(client, customer, method)
    intent_id = refusal.value.error.payment_intent["id"]

    intent = client.v1.payment_intents.confirm(
        intent_id, {"payment_method": method, "return_url": "http://127.0.0.1:1/back?a=b"}
    )
    assert intent.status == "requires_action"
    page = intent.next_action.redirect_to_url.url
    assert "Complete" in requests.get(page, timeout=5).text
    answer = requests.post(page, data={"answer": "complete"}, allow_redirects=False, timeout=5)

    assert answer.headers["Location"].startswith("http://127.0.0.1:1/back?a=b&payment_intent=pi_")
    assert "redirect_status=succeeded" in answer.headers["Location"]
    assert client.v1.payment_intents.retrieve(intent_id).status == "succeeded"


def test_failed_authentication_asks_for_another_card(
    client: stripe.StripeClient, customer: Any
) -> None:
    intent = client.v1.payment_intents.create(
        {
            "amount": 700,
            "currency": "eur",
            "customer": customer.id,
            "payment_method": "pm_card_authenticationRequired",
            "confirm": True,
            "return_url": "http://127.0.0.1:1/back",
        }
    )
    page = intent.next_action.redirect_to_url.url
    for _ in range(2):
        answer = requests.post(page, data={"answer": "fail"}, allow_redirects=False, timeout=5)
        assert "redirect_status=failed" in answer.headers["Location"]

    found = client.v1.payment_intents.retrieve(intent.id)
    assert found.status == "requires_payment_method"
    assert found.last_payment_error.code == "payment_intent_authentication_failure"


def test_the_secret_of_the_authentication_page_is_needed(
    client: stripe.StripeClient, customer: Any
) -> None:
    intent = client.v1.payment_intents.create(
        {"amount": 700, "currency": "usd", "payment_method": "pm_card_authenticationRequired",
         "confirm": True, "return_url": "http://127.0.0.1:1/"}
    )  # fmt: skip
    page = intent.next_action.redirect_to_url.url

    assert requests.get(f"{page[:-3]}000", timeout=5).status_code == 404


@pytest.mark.parametrize(
    ("params", "code"),
    [
        ({"amount": 49, "currency": "usd"}, "amount_too_small"),
        ({"amount": 100_000_000, "currency": "usd"}, "amount_too_large"),
        ({"amount": -1, "currency": "usd"}, "parameter_invalid_integer"),
        ({"amount": 100, "currency": "usd", "customer": "cus_none"}, "resource_missing"),
        ({"amount": 100}, "parameter_missing"),
        ({"amount": 100, "currency": "usd", "amout": 1}, "parameter_unknown"),
        ({"amount": 100, "currency": "usd", "confirm": True}, "payment_intent_unexpected_state"),
        ({"amount": "1.5", "currency": "usd"}, "parameter_invalid_integer"),
        ({"amount": 100, "currency": ""}, "parameter_invalid_empty"),
    ],
)
def test_wrong_parameters_are_refused(client: stripe.StripeClient, params: Any, code: str) -> None:
    before = len(client.v1.payment_intents.list({"limit": 100}).data)

    with pytest.raises(stripe.InvalidRequestError) as refusal:
        client.v1.payment_intents.create(params)

    assert (refusal.value.http_status, refusal.value.code) == (400, code)
    assert len(client.v1.payment_intents.list({"limit": 100}).data) == before


def test_another_customers_card_is_refused(client: stripe.StripeClient, customer: Any) -> None:
    method = saved(client, client.v1.customers.create({}))

    with pytest.raises(stripe.InvalidRequestError, match="must be attached"):
        charge(client, customer, method)


def test_an_intent_is_canceled_once(client: stripe.StripeClient, customer: Any) -> None:
    intent = client.v1.payment_intents.create({"amount": 100, "currency": "usd"})
    assert client.v1.payment_intents.cancel(intent.id).status == "canceled"

    for action in (client.v1.payment_intents.cancel, client.v1.payment_intents.confirm):
        with pytest.raises(stripe.InvalidRequestError) as refusal:
            action(intent.id)
        assert refusal.value.code == "payment_intent_unexpected_state"


def test_a_saved_card_can_change_its_mind(
    stand_in: StandIn, client: stripe.StripeClient, customer: Any
) -> None:
    method = saved(client, customer)
    stand_in.control("POST", f"payment_methods/{method}/card", number="4000000000009995")

    with pytest.raises(stripe.CardError, match="insufficient funds"):
        charge(client, customer, method)
    assert client.v1.payment_methods.retrieve(method).card.last4 == "4242"
