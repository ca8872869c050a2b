import time
from pathlib import Path
from typing import Any

import pytest
import requests
import stripe

from sandbox.stripe.settings import API_VERSION
from sandbox.stripe.tests.stand_in import (
    WEBHOOK_SECRET,
    Receiver,
    StandIn,
    receiving,
    running,
    wait_until,
)
from sandbox.stripe.tests.test_checkout import create
from sandbox.stripe.webhooks import signature


def states(stand_in: StandIn, **query: str) -> list[str]:
    answer = requests.get(f"{stand_in.url}/__sandbox/deliveries", params=query, timeout=5)
    return [one["state"] for one in answer.json()["deliveries"]]


def make_customers(stand_in: StandIn, count: int = 1) -> list[str]:
    return [
        stand_in.client.v1.customers.create({"name": f"number {number}"}).id
        for number in range(count)
    ]


def customers_of(receiver: Receiver) -> list[str]:
    return [event.data.object.id for event in receiver.events()]


def test_a_payment_tells_of_itself_signed(with_webhooks: StandIn, receiver: Receiver) -> None:
    session = create(with_webhooks.client)
    with_webhooks.pay(session)

    wait_until(lambda: len(receiver.received) == 4)

    events = receiver.events()
    assert {event.type for event in events} == {
        "payment_intent.created",
        "charge.succeeded",
        "payment_intent.succeeded",
        "checkout.session.completed",
    }
    assert {event.api_version for event in events} == {API_VERSION}
    [completed] = [event for event in events if event.type == "checkout.session.completed"]
    assert completed.data.object.payment_status == "paid"
    with pytest.raises(stripe.SignatureVerificationError):
        receiver.events("whsec_wrong")
    wait_until(lambda: states(with_webhooks) == ["succeeded"] * 4)
    assert with_webhooks.client.v1.events.retrieve(completed.id).pending_webhooks == 0


def test_the_request_and_its_key_are_in_the_event(with_webhooks: StandIn) -> None:
    client = with_webhooks.client
    made = client.v1.customers.create({}, {"idempotency_key": "abc"})

    [event] = client.v1.events.list().data

    assert event.request.idempotency_key == "abc"
    assert event.request.id == made.last_response.request_id


def test_events_of_one_call_come_in_any_order(with_webhooks: StandIn, receiver: Receiver) -> None:
    orders = set()
    for _ in range(6):
        receiver.received.clear()
        with_webhooks.pay(create(with_webhooks.client))
        wait_until(lambda: len(receiver.received) == 4)
        orders.add(tuple(receiver.types()))

    assert len(orders) > 1


def test_what_is_not_taken_is_sent_again(with_webhooks: StandIn, receiver: Receiver) -> None:
    receiver.statuses += [500, 302, 404]
    [customer] = make_customers(with_webhooks)

    wait_until(lambda: states(with_webhooks) == ["succeeded"])

    assert customers_of(receiver) == [customer] * 4
    assert len({event.id for event in receiver.events()}) == 1
    [delivery] = with_webhooks.control("GET", "deliveries")["deliveries"]
    assert [one["status"] for one in delivery["attempts"]] == [500, 302, 404, 200]


def test_each_event_twice(with_webhooks: StandIn, receiver: Receiver) -> None:
    with_webhooks.control("POST", "webhooks", copies=2)
    customers = make_customers(with_webhooks, 2)

    wait_until(lambda: len(receiver.received) == 4)

    assert sorted(customers_of(receiver)) == sorted(customers * 2)
    assert len({event.id for event in receiver.events()}) == 2


@pytest.mark.parametrize("order", ["created", "reversed"])
def test_held_events_come_in_the_order_of_their_release(
    with_webhooks: StandIn, receiver: Receiver, order: str
) -> None:
    with_webhooks.control("POST", "webhooks", hold=True)
    customers = make_customers(with_webhooks, 4)
    assert states(with_webhooks) == ["held"] * 4
    assert receiver.received == []

    with_webhooks.control("POST", "webhooks/release", order=order)
    wait_until(lambda: len(receiver.received) == 4)

    assert customers_of(receiver) == (customers if order == "created" else customers[::-1])


def test_one_kind_of_event_is_held(with_webhooks: StandIn, receiver: Receiver) -> None:
    with_webhooks.control("POST", "webhooks", hold=["checkout.session.completed"])
    with_webhooks.pay(create(with_webhooks.client))

    wait_until(lambda: len(receiver.received) == 3)

    assert "checkout.session.completed" not in receiver.types()
    assert states(with_webhooks, type="checkout.session.completed") == ["held"]


def test_dropped_events_are_listed_and_can_be_sent_later(
    with_webhooks: StandIn, receiver: Receiver
) -> None:
    client = with_webhooks.client
    with_webhooks.control("POST", "webhooks", drop=True)
    [customer] = make_customers(with_webhooks)
    with_webhooks.control("DELETE", "webhooks")
    wait_until(lambda: states(with_webhooks) == ["dropped"])

    [event] = client.v1.events.list({"delivery_success": False}).data
    assert event.data.object["id"] == customer
    assert receiver.received == []

    with_webhooks.control("POST", f"events/{event.id}/resend")
    wait_until(lambda: receiver.received)
    assert customers_of(receiver) == [customer]
    wait_until(lambda: client.v1.events.list({"delivery_success": True}).data)


def test_missed_events_are_fetched_page_by_page_and_by_type(with_webhooks: StandIn) -> None:
    client = with_webhooks.client
    make_customers(with_webhooks, 3)
    client.v1.payment_intents.create({"amount": 100, "currency": "usd"})

    types = {"types": ["customer.created"], "limit": 2}
    listed = list(client.v1.events.list(types).auto_paging_iter())
    assert [event.type for event in listed] == ["customer.created"] * 3
    since = {"created": {"gte": int(time.time()) - 60}, "starting_after": listed[0].id}
    assert len(client.v1.events.list(since).data) == 2
    assert client.v1.events.list({"created": {"gt": int(time.time()) + 60}}).data == []
    assert len(client.v1.events.list({"type": "payment_intent.*"}).data) == 1


def test_disputes_and_refunds_tell_of_themselves(
    with_webhooks: StandIn, receiver: Receiver
) -> None:
    client = with_webhooks.client
    params: Any = {
        "amount": 900, "currency": "usd", "payment_method": "pm_card_visa", "confirm": True
    }  # fmt: skip
    intent = client.v1.payment_intents.create(params)
    client.v1.refunds.create({"payment_intent": intent.id, "amount": 100})
    dispute = with_webhooks.control("POST", f"charges/{intent.id}/dispute")
    with_webhooks.control("POST", f"disputes/{dispute['id']}/win")
    wanted = {
        "charge.refunded",
        "refund.created",
        "charge.dispute.created",
        "charge.dispute.funds_withdrawn",
        "charge.dispute.closed",
        "charge.dispute.funds_reinstated",
    }

    wait_until(lambda: wanted <= set(receiver.types()))

    events = {event.type: event.data.object for event in receiver.events()}
    # What is an event stays as it was, whatever happened afterwards.
    assert events["charge.dispute.created"].status == "needs_response"
    assert events["charge.dispute.closed"].status == "won"
    assert events["charge.dispute.created"].amount == 800


def test_an_endpoint_of_ones_own_gets_only_what_it_wants(with_webhooks: StandIn) -> None:
    client = with_webhooks.client
    with receiving() as other:
        endpoint = client.v1.webhook_endpoints.create(
            {"url": other.url, "enabled_events": ["customer.updated"]}
        )
        [customer] = make_customers(with_webhooks)
        client.v1.customers.update(customer, {"name": "New"})
        wait_until(lambda: other.received)

        [event] = other.events(endpoint.secret)
        assert event.data.previous_attributes.to_dict() == {"name": "number 0"}
        client.v1.webhook_endpoints.delete(endpoint.id)
        client.v1.customers.update(customer, {"name": "Newer"})
        wait_until(lambda: "pending" not in states(with_webhooks))
        assert len(other.received) == 1
    assert "secret" not in client.v1.webhook_endpoints.retrieve("we_sandbox")


def test_what_was_not_delivered_is_delivered_after_a_restart(
    receiver: Receiver, tmp_path: Path
) -> None:
    nobody = "http://127.0.0.1:1/"
    with running(webhook_url=nobody, file=tmp_path / "stripe.jsonl", retry_first_s=9.0) as first:
        [customer] = make_customers(first)
        wait_until(lambda: first.control("GET", "deliveries")["deliveries"][0]["attempts"])

    with running(webhook_url=receiver.url, file=tmp_path / "stripe.jsonl"):
        wait_until(lambda: receiver.received)

    assert customers_of(receiver) == [customer]


def test_the_signature_is_checked_against_the_real_package() -> None:
    payload = b'{"object": "event", "id": "evt_1"}'
    header = signature(WEBHOOK_SECRET, payload, int(time.time()))

    assert stripe.Webhook.construct_event(payload, header, WEBHOOK_SECRET).id == "evt_1"


def test_orders_that_make_no_sense_are_refused(with_webhooks: StandIn) -> None:
    for order in ({"copies": 0}, {"drop": "x"}, {"colour": 1}):
        with pytest.raises(requests.HTTPError, match="400"):
            with_webhooks.control("POST", "webhooks", **order)
