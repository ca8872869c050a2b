from typing import Any

import pytest
import requests
import stripe

from sandbox.stripe.tests.stand_in import StandIn, wait_until


def paid(client: stripe.StripeClient, token: str = "pm_card_visa") -> Any:
    return client.v1.payment_intents.create(
        {"amount": 1000, "currency": "usd", "payment_method": token, "confirm": True}
    )


def net(client: stripe.StripeClient) -> int:
    balance = client.v1.balance.retrieve()
    return sum(one.amount for one in [*balance.available, *balance.pending])


def test_a_payment_is_refunded_in_parts_and_never_for_more(client: stripe.StripeClient) -> None:
    intent = paid(client)
    before = net(client)

    first = client.v1.refunds.create(
        {"payment_intent": intent.id, "amount": 300, "reason": "requested_by_customer"}
    )
    assert (first.status, first.amount, first.charge) == ("succeeded", 300, intent.latest_charge)
    with pytest.raises(stripe.InvalidRequestError, match=r"\(\$7\.01\) is greater than .*\$7\.00"):
        client.v1.refunds.create({"charge": intent.latest_charge, "amount": 701})
    rest = client.v1.refunds.create({"charge": intent.latest_charge})
    assert rest.amount == 700
    with pytest.raises(stripe.InvalidRequestError) as refusal:
        client.v1.refunds.create({"payment_intent": intent.id})
    assert refusal.value.code == "charge_already_refunded"

    charge = client.v1.charges.retrieve(intent.latest_charge, {"expand": ["refunds"]})
    assert (charge.amount_refunded, charge.refunded) == (1000, True)
    assert [one.id for one in charge.refunds.data] == [rest.id, first.id]
    assert net(client) == before - 1000


def test_what_was_not_paid_is_not_refunded(client: stripe.StripeClient) -> None:
    intent = client.v1.payment_intents.create({"amount": 100, "currency": "usd"})

    for params in ({"payment_intent": intent.id}, {}, {"charge": "ch_none"}):
        with pytest.raises(stripe.InvalidRequestError):
            client.v1.refunds.create(params)


def test_a_refund_that_the_bank_sends_back(stand_in: StandIn, client: stripe.StripeClient) -> None:
    intent = paid(client)
    before = net(client)
    refund = client.v1.refunds.create({"payment_intent": intent.id})

    stand_in.control("POST", f"refunds/{refund.id}/fail")

    found = client.v1.refunds.retrieve(refund.id)
    assert (found.status, found.failure_reason) == ("failed", "unknown")
    assert client.v1.charges.retrieve(intent.latest_charge).amount_refunded == 0
    assert net(client) == before


@pytest.mark.parametrize(("end", "change"), [("win", -1500), ("lose", -2500)])
def test_a_dispute_takes_the_money_and_may_give_it_back(
    stand_in: StandIn, client: stripe.StripeClient, end: str, change: int
) -> None:
    intent = paid(client)
    before = net(client)

    dispute = stand_in.control("POST", f"charges/{intent.id}/dispute", reason="duplicate")
    found = client.v1.disputes.retrieve(dispute["id"])
    assert (found.status, found.amount, found.reason) == ("needs_response", 1000, "duplicate")
    assert net(client) == before - 2500
    assert client.v1.charges.retrieve(intent.latest_charge).disputed is True
    with pytest.raises(stripe.InvalidRequestError) as refusal:
        client.v1.refunds.create({"payment_intent": intent.id})
    assert refusal.value.code == "charge_disputed"

    stand_in.control("POST", f"disputes/{dispute['id']}/{end}")

    found = client.v1.disputes.retrieve(dispute["id"])
    assert found.status == {"win": "won", "lose": "lost"}[end]
    assert net(client) == before + change
    with pytest.raises(requests.HTTPError):
        stand_in.control("POST", f"disputes/{dispute['id']}/win")


def test_evidence_decides_as_in_stripes_test_accounts(
    stand_in: StandIn, client: stripe.StripeClient
) -> None:
    ends = []
    for text in ("winning_evidence", "losing_evidence"):
        intent = paid(client)
        dispute = stand_in.control("POST", f"charges/{intent.latest_charge}/dispute", amount=400)
        client.v1.disputes.update(dispute["id"], {"evidence": {"uncategorized_text": text}})
        found = client.v1.disputes.retrieve(dispute["id"])
        ends.append((found.amount, found.status))

    assert ends == [(400, "won"), (400, "lost")]


def test_a_payment_with_the_disputed_card_is_disputed_later(
    client: stripe.StripeClient,
) -> None:
    intent = paid(client, "pm_card_createDispute")

    wait_until(lambda: client.v1.disputes.list({"payment_intent": intent.id}).data)

    [dispute] = client.v1.disputes.list({"charge": intent.latest_charge}).data
    assert (dispute.reason, dispute.amount) == ("fraudulent", 1000)


def test_balance_transactions_add_up(client: stripe.StripeClient) -> None:
    every = client.v1.balance_transactions.list({"limit": 100}).data

    assert sum(one.net for one in every) == net(client)
    assert all(one.net == one.amount - one.fee for one in every)
    source = client.v1.balance_transactions.retrieve(every[0].id, {"expand": ["source"]}).source
    assert source.object in ("charge", "refund", "dispute")
