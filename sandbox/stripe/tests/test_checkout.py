import re
import time
from typing import Any

import pytest
import requests
import stripe

from sandbox.stripe.tests.stand_in import CARD, StandIn

SUCCESS = "http://127.0.0.1:1/billing?session={CHECKOUT_SESSION_ID}"
CANCEL = "http://127.0.0.1:1/billing"


def params_of(amount: int = 2000, **more: Any) -> Any:
    return {
        "mode": "payment",
        "line_items": [
            {
                "quantity": 1,
                "price_data": {
                    "currency": "usd",
                    "unit_amount": amount,
                    "product_data": {"name": "Credit <b>", "description": "For AI calls"},
                },
            }
        ],
        "success_url": SUCCESS,
        "cancel_url": CANCEL,
        **more,
    }


def create(client: stripe.StripeClient, amount: int = 2000, **more: Any) -> Any:
    return client.v1.checkout.sessions.create(params_of(amount, **more))


def retrieve(client: stripe.StripeClient, session: Any, *expand: str) -> Any:
    return client.v1.checkout.sessions.retrieve(session.id, {"expand": list(expand)})


def test_a_top_up_is_paid_on_the_page(
    stand_in: StandIn, client: stripe.StripeClient, customer: Any
) -> None:
    session = create(
        client,
        customer=customer.id,
        client_reference_id="top-up-7",
        metadata={"tenant": "acme"},
        payment_intent_data={"metadata": {"top_up": "7"}, "setup_future_usage": "off_session"},
    )
    assert (session.status, session.payment_status, session.payment_intent) == (
        "open",
        "unpaid",
        None,
    )

    answer = stand_in.pay(session)

    assert answer.status_code == 303
    assert answer.headers["Location"] == SUCCESS.replace("{CHECKOUT_SESSION_ID}", session.id)
    done = retrieve(client, session, "payment_intent.latest_charge", "line_items")
    assert (done.status, done.payment_status, done.amount_total) == ("complete", "paid", 2000)
    assert (done.client_reference_id, done.metadata["tenant"]) == ("top-up-7", "acme")
    assert done.customer_details.email == "owner@acme.test"
    assert [one.amount_total for one in done.line_items.data] == [2000]
    assert done.payment_intent.metadata["top_up"] == "7"
    assert done.payment_intent.latest_charge.amount == 2000
    # The card was saved with it, and can be charged without its owner.
    [card] = client.v1.payment_methods.list({"customer": customer.id}).data
    again = client.v1.payment_intents.create(
        {"amount": 500, "currency": "usd", "customer": customer.id, "payment_method": card.id,
         "off_session": True, "confirm": True}
    )  # fmt: skip
    assert again.status == "succeeded"


def test_pressed_twice_it_is_paid_once(stand_in: StandIn, client: stripe.StripeClient) -> None:
    session = create(client)
    first, second = stand_in.pay(session), stand_in.pay(session)

    assert first.headers["Location"] == second.headers["Location"]
    intent = retrieve(client, session).payment_intent
    assert len(client.v1.charges.list({"payment_intent": intent}).data) == 1


@pytest.mark.parametrize(
    ("number", "words"),
    [
        ("4000000000000002", "Your card was declined."),
        ("4000 0000 0000 9995", "insufficient funds"),
        ("4000000000000341", "Your card was declined."),
        ("4000000000000069", "has expired"),
    ],
)
def test_after_a_declined_card_another_one_pays(
    stand_in: StandIn, client: stripe.StripeClient, number: str, words: str
) -> None:
    session = create(client)

    refused = stand_in.pay(session, cardNumber=number)

    assert refused.status_code == 402
    assert words in refused.text
    failed = retrieve(client, session, "payment_intent")
    assert (failed.status, failed.payment_status) == ("open", "unpaid")
    assert failed.payment_intent.status == "requires_payment_method"
    assert stand_in.pay(session).status_code == 303
    done = retrieve(client, session)
    assert (done.status, done.payment_intent) == ("complete", failed.payment_intent.id)


@pytest.mark.parametrize("number", ["4000002500003155", "4000002760003184"])
def test_3d_secure_fails_and_then_completes(
    stand_in: StandIn, client: stripe.StripeClient, number: str
) -> None:
    session = create(client)
    bank = stand_in.pay(session, cardNumber=number).headers["Location"]
    assert "$20.00" in requests.get(bank, timeout=5).text

    back = requests.post(bank, data={"answer": "fail"}, timeout=5)
    assert "unable to authenticate" in back.text
    assert retrieve(client, session).status == "open"

    bank = stand_in.pay(session, cardNumber=number).headers["Location"]
    done = requests.post(bank, data={"answer": "complete"}, allow_redirects=False, timeout=5)
    assert session.id in done.headers["Location"]
    found = retrieve(client, session, "payment_intent.latest_charge")
    assert found.payment_status == "paid"
    details = found.payment_intent.latest_charge.payment_method_details.card
    assert details.three_d_secure.result == "authenticated"


@pytest.mark.parametrize(
    ("number", "is_charged"), [("4000002500003155", True), ("4000002760003184", False)]
)
def test_a_card_saved_with_3d_secure(
    stand_in: StandIn,
    client: stripe.StripeClient,
    customer: Any,
    number: str,
    is_charged: bool,
) -> None:
    """One of the two is content with that, the other one asks every time."""
    session = client.v1.checkout.sessions.create(
        {"mode": "setup", "currency": "usd", "customer": customer.id, "success_url": SUCCESS}
    )
    bank = stand_in.pay(session, cardNumber=number).headers["Location"]
    requests.post(bank, data={"answer": "complete"}, allow_redirects=False, timeout=5)
    done = retrieve(client, session, "setup_intent")
    assert (done.status, done.payment_status) == ("complete", "no_payment_required")

    params: Any = {
        "amount": 500, "currency": "usd", "customer": customer.id, "off_session": True,
        "payment_method": done.setup_intent.payment_method, "confirm": True,
    }  # fmt: skip
    if is_charged:
        assert client.v1.payment_intents.create(params).status == "succeeded"
    else:
        with pytest.raises(stripe.CardError) as refusal:
            client.v1.payment_intents.create(params)
        assert refusal.value.code == "authentication_required"


def test_a_card_that_fails_only_later_is_saved_by_setup(
    stand_in: StandIn, client: stripe.StripeClient, customer: Any
) -> None:
    session = client.v1.checkout.sessions.create(
        {"mode": "setup", "currency": "usd", "customer": customer.id, "success_url": SUCCESS}
    )
    assert "Nothing is charged now" in requests.get(session.url, timeout=5).text

    assert stand_in.pay(session, cardNumber="4000000000000341").status_code == 303

    [card] = client.v1.payment_methods.list({"customer": customer.id}).data
    assert card.card.last4 == "0341"


def test_billing_address_and_tax_id_reach_customer_and_invoice(
    stand_in: StandIn, client: stripe.StripeClient, customer: Any
) -> None:
    session = create(
        client,
        customer=customer.id,
        customer_update={"name": "auto", "address": "auto"},
        billing_address_collection="required",
        tax_id_collection={"enabled": True},
        invoice_creation={
            "enabled": True,
            "invoice_data": {"description": "Prepaid credit", "metadata": {"top_up": "9"}},
        },
    )
    address = {
        "billingCountry": "DE", "billingAddressLine1": "Weg 1", "billingLocality": "Berlin",
        "billingPostalCode": "10115",
    }  # fmt: skip
    wrong = stand_in.pay(session, taxIdType="eu_vat", taxId="1", businessName="Acme GmbH")
    assert wrong.text.count('aria-invalid="true"') == 5

    business = {"taxIdType": "eu_vat", "taxId": "DE123456789", "businessName": "Acme GmbH"}
    assert stand_in.pay(session, **address, **business).status_code == 303

    found = client.v1.customers.retrieve(customer.id, {"expand": ["tax_ids"]})
    assert (found.name, found.address.city) == ("Acme GmbH", "Berlin")
    assert [one.value for one in found.tax_ids.data] == ["DE123456789"]
    done = retrieve(client, session, "invoice.payments")
    invoice = done.invoice
    assert (invoice.status, invoice.total, invoice.metadata["top_up"]) == ("paid", 2000, "9")
    assert invoice.payments.data[0].payment.payment_intent == done.payment_intent
    page = requests.get(invoice.hosted_invoice_url, timeout=5).text
    for text in ("Acme GmbH", "DE123456789", "$20.00", "Weg 1"):
        assert text in page
    file = requests.get(invoice.invoice_pdf, timeout=5)
    assert file.headers["Content-Type"] == "application/pdf"
    assert file.content.startswith(b"%PDF-")
    listed = client.v1.invoices.list({"customer": customer.id}).data
    assert [one.id for one in listed] == [invoice.id]
    payment = {"type": "payment_intent", "payment_intent": done.payment_intent}
    [paid] = client.v1.invoice_payments.list({"payment": payment}).data
    assert paid.invoice == invoice.id


def test_a_guest_stays_without_customer_unless_one_is_wanted(
    stand_in: StandIn, client: stripe.StripeClient
) -> None:
    guest, regular = create(client), create(client, customer_creation="always")
    stand_in.pay(guest)
    stand_in.pay(regular)

    assert retrieve(client, guest).customer is None
    made = retrieve(client, regular, "customer").customer
    assert made.email == "ada@example.com"


def test_a_card_is_kept_when_the_box_is_ticked_and_offered_next_time(
    stand_in: StandIn, client: stripe.StripeClient, customer: Any
) -> None:
    options = {"payment_method_save": "enabled"}
    sessions = [
        create(client, customer=customer.id, saved_payment_method_options=options) for _ in range(3)
    ]
    stand_in.pay(sessions[0])
    assert client.v1.payment_methods.list({"customer": customer.id}).data == []
    stand_in.pay(sessions[1], savePaymentMethod="on")
    [card] = client.v1.payment_methods.list({"customer": customer.id}).data

    assert "Visa ending in 4242" in requests.get(sessions[2].url, timeout=5).text
    answer = requests.post(
        sessions[2].url, data={"paymentMethod": card.id}, allow_redirects=False, timeout=5
    )
    assert answer.status_code == 303
    assert retrieve(client, sessions[2], "payment_intent").payment_intent.payment_method == card.id


def test_nobody_pays_with_anothers_card(
    stand_in: StandIn, client: stripe.StripeClient, customer: Any
) -> None:
    other = client.v1.customers.create({"email": "other@globex.test"})
    card = client.v1.payment_methods.attach("pm_card_visa", {"customer": other.id})
    session = create(client, customer=customer.id)

    answer = requests.post(
        session.url, data={"paymentMethod": card.id}, allow_redirects=False, timeout=5
    )

    assert answer.status_code == 402
    assert retrieve(client, session).payment_status == "unpaid"


def test_an_expired_session_can_not_be_paid(stand_in: StandIn, client: stripe.StripeClient) -> None:
    session = create(client, expires_at=int(time.time()) + 1801)
    stand_in.pay(session, cardNumber="4000000000000002")
    expired = client.v1.checkout.sessions.expire(session.id)
    assert (expired.status, expired.url) == ("expired", None)

    answer = stand_in.pay(session)

    assert answer.status_code == 410
    assert CANCEL in answer.text
    assert retrieve(client, session, "payment_intent").payment_intent.status == "canceled"
    with pytest.raises(stripe.InvalidRequestError, match="can be expired"):
        client.v1.checkout.sessions.expire(session.id)


def test_a_card_that_is_declined_after_3d_secure(
    stand_in: StandIn, client: stripe.StripeClient
) -> None:
    session = create(client)
    bank = stand_in.pay(session, cardNumber="4000008400001629").headers["Location"]

    back = requests.post(bank, data={"answer": "complete"}, timeout=5)

    assert "Your card was declined." in back.text
    assert retrieve(client, session).payment_status == "unpaid"


def test_a_bank_that_answers_too_late_saves_no_card(
    stand_in: StandIn, client: stripe.StripeClient, customer: Any
) -> None:
    session = client.v1.checkout.sessions.create(
        {"mode": "setup", "currency": "usd", "customer": customer.id, "success_url": SUCCESS}
    )
    bank = stand_in.pay(session, cardNumber="4000002500003155").headers["Location"]
    client.v1.checkout.sessions.expire(session.id)

    assert requests.post(bank, data={"answer": "complete"}, timeout=5).status_code == 410

    assert retrieve(client, session).status == "expired"
    assert client.v1.payment_methods.list({"customer": customer.id}).data == []


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"mode": "subscription"}, "does not serve subscriptions"),
        ({"mode": None}, "mode"),
        ({"success_url": "nonsense"}, "Not a valid URL"),
        ({"expires_at": 5}, "between 30 minutes and 24 hours"),
        ({"customer": "cus_none"}, "No such customer"),
        ({"colour": "red"}, "Received unknown parameter: colour"),
        ({"payment_intent_data": {"x": 1}}, r"unknown parameter: payment_intent_data\[x\]"),
        ({"automatic_tax": {"enabled": True}}, "does not serve automatic tax"),
        ({"allow_promotion_codes": True}, "does not serve the parameter allow_promotion_codes"),
        ({"line_items": []}, "line_items"),
        ({"customer_email": "a@b.c", "customer_update": {"name": "auto"}}, "customer_update"),
    ],
)
def test_wrong_sessions_are_refused(client: stripe.StripeClient, changes: Any, words: str) -> None:
    params = {**params_of(), **changes}
    params = {name: value for name, value in params.items() if value is not None}

    with pytest.raises(stripe.InvalidRequestError, match=words):
        client.v1.checkout.sessions.create(params)


def test_tax_ids_of_a_known_customer_need_its_name_to_change(
    client: stripe.StripeClient, customer: Any
) -> None:
    with pytest.raises(stripe.InvalidRequestError, match=r"customer_update\[name\]"):
        create(client, customer=customer.id, tax_id_collection={"enabled": True})


# --- The page itself ------------------------------------------------------------------


def test_the_page_shows_what_is_bought_and_escapes_it(client: stripe.StripeClient) -> None:
    page = requests.get(create(client).url, timeout=5)

    assert "Credit &lt;b&gt;" in page.text
    assert "<b>" not in page.text
    for text in ("$20.00", "For AI calls", "Sandbox.", CANCEL, 'lang="en"', "width=device-width"):
        assert text in page.text
    # Each field has its label, and nothing is fetched from elsewhere.
    fields = set(re.findall(r'<(?:input|select)[^>]* id="(\w+)"', page.text))
    assert fields == set(re.findall(r'<label for="(\w+)"', page.text))
    assert fields == set(CARD) | {"billingCountry"}
    assert "<script" not in page.text
    assert "default-src 'none'" in page.headers["Content-Security-Policy"]


def test_what_was_entered_is_kept_but_the_security_code(
    stand_in: StandIn, client: stripe.StripeClient
) -> None:
    answer = stand_in.pay(
        create(client), billingName='"><script>', cardCvc="987", cardExpiry="01/20"
    )

    assert answer.status_code == 402
    assert "This card has expired." in answer.text
    assert "&quot;&gt;&lt;script&gt;" in answer.text
    assert "987" not in answer.text
    assert "<script" not in answer.text


def test_real_cards_are_refused_and_not_kept(
    stand_in: StandIn, client: stripe.StripeClient
) -> None:
    answer = stand_in.pay(create(client), cardNumber="4539 1488 0343 6467")

    assert "not one of Stripe&#x27;s test cards" in answer.text
    assert answer.status_code == 402


def test_unknown_pages_are_not_found(stand_in: StandIn) -> None:
    for path in ("c/pay/cs_none", "3ds/pi_x/y", "receipts/ch_x/y", "i/in_x/y", "p/session/x", "x"):
        assert requests.get(f"{stand_in.url}/{path}", timeout=5).status_code == 404


def test_the_billing_portal_shows_and_changes_cards(
    stand_in: StandIn, client: stripe.StripeClient, customer: Any
) -> None:
    card = client.v1.payment_methods.attach("pm_card_amex", {"customer": customer.id})
    portal = client.v1.billing_portal.sessions.create(
        {"customer": customer.id, "return_url": CANCEL}
    )

    page = requests.get(portal.url, timeout=5).text
    assert "Amex ending in 0005" in page
    assert CANCEL in page
    requests.post(portal.url, data={"default": card.id}, timeout=5)
    found = client.v1.customers.retrieve(customer.id)
    assert found.invoice_settings.default_payment_method == card.id
    requests.post(portal.url, data={"remove": card.id}, timeout=5)
    assert client.v1.payment_methods.list({"customer": customer.id}).data == []
