"""Charges: one try each to take a card's money."""

from typing import Any

from sandbox.stripe import balance
from sandbox.stripe.call import Call
from sandbox.stripe.cards import Card
from sandbox.stripe.lists import page
from sandbox.stripe.metadata import merged, take
from sandbox.stripe.money import fee_of
from sandbox.stripe.payment_methods import card_of
from sandbox.stripe.store import Object, Unit, new_id

KIND = "charge"

STATEMENT = "AGENTFLARE SANDBOX"

APPROVED = {
    "advice_code": None,
    "network_advice_code": None,
    "network_decline_code": None,
    "network_status": "approved_by_network",
    "reason": None,
    "risk_level": "normal",
    "risk_score": 12,
    "seller_message": "Payment complete.",
    "type": "authorized",
}


def make(
    unit: Unit,
    intent: Object,
    method: Object,
    *,
    refusal: dict[str, Any] | None,
    is_authenticated: bool,
) -> Object:
    """refusal: how it is declined; none: it succeeds and its money arrives."""
    card = card_of(method)
    outcome = APPROVED
    if refusal:
        outcome = {
            **APPROVED,
            "advice_code": "try_again_later",
            "network_decline_code": "01",
            "network_status": "declined_by_network",
            "reason": refusal["decline_code"],
            "seller_message": "The bank did not return any further details with this decline.",
            "type": "issuer_declined",
        }
    charge = unit.add(
        "ch",
        KIND,
        amount=intent["amount"],
        amount_captured=0 if refusal else intent["amount"],
        amount_refunded=0,
        application=None,
        application_fee=None,
        application_fee_amount=None,
        balance_transaction=None,
        billing_details=method["billing_details"],
        calculated_statement_descriptor=intent["statement_descriptor"] or STATEMENT,
        captured=not refusal,
        currency=intent["currency"],
        customer=intent["customer"],
        description=intent["description"],
        disputed=False,
        failure_balance_transaction=None,
        failure_code=refusal["code"] if refusal else None,
        failure_message=refusal["message"] if refusal else None,
        fraud_details={},
        livemode=False,
        metadata=dict(intent["metadata"]),
        on_behalf_of=None,
        outcome=outcome,
        paid=not refusal,
        payment_intent=intent["id"],
        payment_method=method["id"],
        payment_method_details={
            "card": card_details(method, intent["amount"], is_authenticated=is_authenticated),
            "type": "card",
        },
        radar_options={},
        receipt_email=intent["receipt_email"],
        receipt_number=None,
        receipt_url=None,
        refunded=False,
        review=None,
        shipping=None,
        source_transfer=None,
        statement_descriptor=intent["statement_descriptor"],
        statement_descriptor_suffix=intent["statement_descriptor_suffix"],
        status="failed" if refusal else "succeeded",
        transfer_data=None,
        transfer_group=None,
    )
    if not refusal:
        arrive(unit, charge, card)
    unit.emit("charge.failed" if refusal else "charge.succeeded", charge)
    return charge


def arrive(unit: Unit, charge: Object, card: Card) -> None:
    moved = balance.move(
        unit,
        "charge",
        charge["amount"],
        charge["currency"],
        source=charge["id"],
        fee=fee_of(charge["amount"]),
        description=charge["description"],
    )
    charge["balance_transaction"] = moved["id"]
    # Not to be guessed: whoever has the address may read the receipt.
    charge["receipt_url"] = f"{unit.url}/receipts/{charge['id']}/{new_id('r')}"
    charge["receipt_number"] = f"{len(unit.store.all(KIND)) + 1:04}-{charge['id'][-4:]}"
    if card.dispute:
        charge["_dispute_at"] = unit.now + unit.settings.dispute_delay_s
        charge["_dispute_reason"] = card.dispute
    charge["_refund_fails"] = card.refund_fails


def card_details(method: Object, amount: int, *, is_authenticated: bool) -> Object:
    card = method["card"]
    same = ("brand", "checks", "country", "exp_month", "exp_year", "fingerprint", "funding")
    return {
        **{name: card[name] for name in (*same, "last4", "regulated_status", "wallet")},
        "amount_authorized": amount,
        "authorization_code": None,
        "installments": None,
        "mandate": None,
        "network": card["brand"],
        "network_token": {"used": False},
        "network_transaction_id": None,
        "three_d_secure": {
            "authentication_flow": "challenge",
            "electronic_commerce_indicator": "05",
            "exemption_indicator": None,
            "result": "authenticated",
            "result_reason": None,
            "transaction_id": None,
            "version": "2.2.0",
        }
        if is_authenticated
        else None,
    }


def retrieve(call: Call) -> Object:
    """GET /v1/charges/{id}"""
    return call.unit.get(KIND, call.id)


def update(call: Call) -> Object:
    """POST /v1/charges/{id}"""
    charge = call.unit.get(KIND, call.id)
    take(charge, call.params, "description", "receipt_email")
    charge["metadata"] = merged(charge["metadata"], call.params.get("metadata"))
    call.unit.emit("charge.updated", charge)
    return charge


def list_(call: Call) -> Object:
    """GET /v1/charges"""
    given = call.params
    return page(
        call,
        KIND,
        lambda one: all(
            given.get(name) in (None, one[name]) for name in ("customer", "payment_intent")
        ),
    )
