from typing import Any

import pytest
import stripe

from sandbox.stripe.settings import API_VERSION
from sandbox.stripe.tests.stand_in import StandIn


def test_the_version_is_the_one_that_the_package_pins() -> None:
    assert stripe.api_version == API_VERSION


def test_a_customer_is_kept_and_changed(client: stripe.StripeClient) -> None:
    made = client.v1.customers.create(
        {
            "email": "a@acme.test",
            "name": "Acme",
            "metadata": {"tenant": "acme", "1": "one"},
            "address": {"country": "DE", "city": "Berlin"},
            "tax_id_data": [{"type": "eu_vat", "value": "DE123456789"}],
        }
    )
    client.v1.customers.update(
        made.id, {"name": "", "metadata": {"tenant": "", "plan": "x"}, "address": {"city": "Bonn"}}
    )

    found = client.v1.customers.retrieve(made.id, {"expand": ["tax_ids"]})

    assert found.name is None
    assert found.metadata.to_dict() == {"1": "one", "plan": "x"}
    assert found.address is not None
    assert (found.address.city, found.address.country) == ("Bonn", "DE")
    assert found.tax_ids is not None
    assert [one.value for one in found.tax_ids.data] == ["DE123456789"]


def test_a_deleted_customer_says_so(client: stripe.StripeClient, customer: Any) -> None:
    client.v1.customers.delete(customer.id)

    assert client.v1.customers.retrieve(customer.id).deleted is True
    with pytest.raises(stripe.InvalidRequestError, match="No such customer"):
        client.v1.customers.update(customer.id, {"name": "x"})


def test_tax_ids_are_checked_listed_and_removed(client: stripe.StripeClient, customer: Any) -> None:
    with pytest.raises(stripe.InvalidRequestError) as refusal:
        client.v1.customers.tax_ids.create(customer.id, {"type": "eu_vat", "value": "nonsense!"})
    assert refusal.value.code == "tax_id_invalid"

    made = client.v1.customers.tax_ids.create(
        customer.id, {"type": "us_ein", "value": "12-3456789"}
    )
    assert [one.id for one in client.v1.customers.tax_ids.list(customer.id).data] == [made.id]

    client.v1.customers.tax_ids.delete(customer.id, made.id)
    assert client.v1.customers.tax_ids.list(customer.id).data == []


def test_cards_are_attached_chosen_and_detached(client: stripe.StripeClient, customer: Any) -> None:
    visa = client.v1.payment_methods.attach("pm_card_visa", {"customer": customer.id})
    master = client.v1.payment_methods.attach("pm_card_mastercard", {"customer": customer.id})
    assert (visa.card.brand, visa.card.last4, visa.card.exp_month) == ("visa", "4242", 12)
    listed = client.v1.payment_methods.list({"customer": customer.id, "type": "card"})
    assert [one.id for one in listed.data] == [master.id, visa.id]

    settings = {"invoice_settings": {"default_payment_method": visa.id}}
    client.v1.customers.update(customer.id, settings)
    client.v1.payment_methods.detach(visa.id)

    listed = client.v1.customers.payment_methods.list(customer.id)
    assert [one.id for one in listed.data] == [master.id]
    found = client.v1.customers.retrieve(customer.id)
    assert found.invoice_settings.default_payment_method is None
    with pytest.raises(stripe.InvalidRequestError, match="may not be used again"):
        client.v1.payment_methods.attach(visa.id, {"customer": customer.id})


def test_another_customers_card_is_no_default(client: stripe.StripeClient, customer: Any) -> None:
    other = client.v1.customers.create({})
    card = client.v1.payment_methods.attach("pm_card_visa", {"customer": other.id})

    with pytest.raises(stripe.InvalidRequestError, match="must be attached"):
        client.v1.customers.update(
            customer.id, {"invoice_settings": {"default_payment_method": card.id}}
        )


def test_a_declined_card_is_not_attached(client: stripe.StripeClient, customer: Any) -> None:
    with pytest.raises(stripe.CardError) as refusal:
        client.v1.payment_methods.attach("pm_card_chargeDeclined", {"customer": customer.id})

    assert refusal.value.code == "card_declined"
    assert client.v1.payment_methods.list({"customer": customer.id}).data == []


def test_lists_come_in_pages(stand_in: StandIn) -> None:
    client = stand_in.client
    ids = [client.v1.customers.create({"email": "many@acme.test"}).id for _ in range(5)]

    first = client.v1.customers.list({"email": "many@acme.test", "limit": 2})
    assert ([one.id for one in first.data], first.has_more) == (ids[:2:-1], True)
    every = client.v1.customers.list({"email": "many@acme.test", "limit": 2})
    assert [one.id for one in every.auto_paging_iter()] == ids[::-1]
    before = client.v1.customers.list({"email": "many@acme.test", "ending_before": ids[1]})
    assert [one.id for one in before.data] == ids[:1:-1]
    with pytest.raises(stripe.InvalidRequestError) as refusal:
        client.v1.customers.list({"starting_after": "cus_none"})
    assert (refusal.value.code, refusal.value.param) == ("resource_missing", "starting_after")
    for limit in (0, 101):
        with pytest.raises(stripe.InvalidRequestError, match="Limit"):
            client.v1.customers.list({"limit": limit})


def test_a_deleted_customers_cards_go_with_it(client: stripe.StripeClient, customer: Any) -> None:
    card = client.v1.payment_methods.attach("pm_card_visa", {"customer": customer.id})

    client.v1.customers.delete(customer.id)

    assert client.v1.payment_methods.retrieve(card.id).customer is None
