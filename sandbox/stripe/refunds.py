"""Refunds: full, in parts, never of more than is left."""

from sandbox.stripe import balance
from sandbox.stripe.call import Call
from sandbox.stripe.errors import InvalidRequestError
from sandbox.stripe.lists import page
from sandbox.stripe.metadata import merged
from sandbox.stripe.money import shown
from sandbox.stripe.store import Object, Unit

KIND = "refund"


def charge_to_refund(call: Call) -> Object:
    """Raises InvalidRequestError when the parameters name no charge that was paid."""
    unit, given = call.unit, call.params
    if ("charge" in given) == ("payment_intent" in given):
        raise InvalidRequestError(
            "One of the following params should be provided for this request: payment_intent or "
            "charge.",
            code="parameter_missing",
        )
    if "charge" in given:
        charge_id, param = given["charge"], "charge"
    else:
        param = "payment_intent"
        intent = unit.get("payment_intent", given[param], param=param)
        charge_id = intent["latest_charge"] if intent["status"] == "succeeded" else None
        if charge_id is None:
            raise InvalidRequestError(
                f"This PaymentIntent ({intent['id']}) does not have a successful charge to refund.",
                param=param,
            )
    charge = unit.get("charge", charge_id, param=param)
    if not charge["paid"]:
        raise InvalidRequestError(f"Charge {charge_id} has not succeeded.", param=param)
    return charge


def create(call: Call) -> Object:
    """POST /v1/refunds"""
    unit, given = call.unit, call.params
    charge = charge_to_refund(call)
    left = charge["amount"] - charge["amount_refunded"]
    if left == 0:
        raise InvalidRequestError(
            f"Charge {charge['id']} has already been refunded.", code="charge_already_refunded"
        )
    if charge.get("_is_charged_back"):
        raise InvalidRequestError(
            f"Charge {charge['id']} has been charged back; cannot issue a refund.",
            code="charge_disputed",
        )
    amount = given.get("amount", left)
    if amount < 1:
        raise InvalidRequestError("Invalid positive integer", param="amount")
    if amount > left:
        raise InvalidRequestError(
            f"Refund amount ({shown(amount, charge['currency'])}) is greater than unrefunded "
            f"amount on charge ({shown(left, charge['currency'])})",
            param="amount",
        )
    refund = unit.add(
        "re",
        KIND,
        amount=amount,
        balance_transaction=None,
        charge=charge["id"],
        currency=charge["currency"],
        destination_details={
            "card": {
                "reference_status": "pending",
                "reference_type": "acquirer_reference_number",
                "type": "refund",
            },
            "type": "card",
        },
        metadata=merged({}, given.get("metadata")),
        payment_intent=charge["payment_intent"],
        reason=given.get("reason"),
        receipt_number=None,
        source_transfer_reversal=None,
        status="succeeded",
        transfer_reversal=None,
    )
    moved = balance.move(unit, "refund", -amount, charge["currency"], source=refund["id"])
    refund["balance_transaction"] = moved["id"]
    charge["amount_refunded"] += amount
    charge["refunded"] = charge["amount_refunded"] == charge["amount"]
    unit.emit("refund.created", refund)
    unit.emit("charge.refunded", charge)
    if charge.get("_refund_fails"):
        # As with the real test card: first it succeeds, then the bank sends it back.
        fail(unit, refund)
    return refund


def fail(unit: Unit, refund: Object) -> None:
    """The bank sends the money back. Raises InvalidRequestError when it can't any more."""
    if refund["status"] != "succeeded":
        raise InvalidRequestError(f"Refund {refund['id']} has a status of {refund['status']}.")
    charge = unit.get("charge", refund["charge"])
    moved = balance.move(
        unit, "payment_failure_refund", refund["amount"], refund["currency"], source=refund["id"]
    )
    refund.update(
        status="failed", failure_reason="unknown", failure_balance_transaction=moved["id"]
    )
    charge["amount_refunded"] -= refund["amount"]
    charge["refunded"] = False
    unit.emit("refund.updated", refund)
    unit.emit("refund.failed", refund)
    unit.emit("charge.refund.updated", refund)


def retrieve(call: Call) -> Object:
    """GET /v1/refunds/{id}"""
    return call.unit.get(KIND, call.id)


def update(call: Call) -> Object:
    """POST /v1/refunds/{id}"""
    refund = call.unit.get(KIND, call.id)
    refund["metadata"] = merged(refund["metadata"], call.params.get("metadata"))
    call.unit.emit("refund.updated", refund)
    return refund


def list_(call: Call) -> Object:
    """GET /v1/refunds"""
    given = call.params
    return page(
        call,
        KIND,
        lambda one: all(
            given.get(name) in (None, one[name]) for name in ("charge", "payment_intent")
        ),
    )
