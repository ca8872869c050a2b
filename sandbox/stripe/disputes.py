"""Disputes: opened, then won or lost, each moving the balance."""

from sandbox.stripe import balance
from sandbox.stripe.call import Call
from sandbox.stripe.errors import InvalidRequestError
from sandbox.stripe.lists import page
from sandbox.stripe.metadata import merged
from sandbox.stripe.money import DISPUTE_FEE
from sandbox.stripe.store import Object, Unit, public

KIND = "dispute"

OPEN = ("needs_response", "under_review")
ANSWER_WITHIN_S = 7 * 86_400

# What the bank decides by, in Stripe's test accounts.
WINNING, LOSING = "winning_evidence", "losing_evidence"


def open_(
    unit: Unit, charge: Object, *, reason: str = "fraudulent", amount: int | None = None
) -> Object:
    """The cardholder takes back the money, or a part of it.

    amount: else what is left. Banks do not know of refunds: it may be more than is left.
    Raises InvalidRequestError when there is nothing to take back.
    """
    if amount is None:
        amount = charge["amount"] - charge["amount_refunded"]
    if not charge["paid"] or charge["disputed"] or not 0 < amount <= charge["amount"]:
        raise InvalidRequestError(f"Charge {charge['id']} can't be disputed with {amount}.")
    dispute = unit.add(
        "du",
        KIND,
        amount=amount,
        balance_transactions=[],
        charge=charge["id"],
        currency=charge["currency"],
        enhanced_eligibility_types=[],
        evidence={"enhanced_evidence": {}},
        evidence_details={
            "due_by": unit.now + ANSWER_WITHIN_S,
            "enhanced_eligibility": {},
            "has_evidence": False,
            "past_due": False,
            "submission_count": 0,
            "submission_method": "not_submitted",
        },
        is_charge_refundable=False,
        livemode=False,
        metadata={},
        payment_intent=charge["payment_intent"],
        payment_method_details={
            "card": {
                "brand": charge["payment_method_details"]["card"]["brand"],
                "case_type": "chargeback",
                "network": charge["payment_method_details"]["card"]["network"],
                "network_reason_code": "10.4",
            },
            "type": "card",
        },
        reason=reason,
        status="needs_response",
    )
    charge["disputed"] = charge["_is_charged_back"] = True
    charge.pop("_dispute_at", None)
    unit.emit("charge.dispute.created", dispute)
    move(unit, dispute, -amount, fee=DISPUTE_FEE)
    unit.emit("charge.dispute.funds_withdrawn", dispute)
    unit.emit("charge.updated", charge)
    return dispute


def move(unit: Unit, dispute: Object, amount: int, *, fee: int = 0) -> None:
    category = "dispute" if amount < 0 else "dispute_reversal"
    moved = balance.move(
        unit,
        "adjustment",
        amount,
        dispute["currency"],
        source=dispute["id"],
        fee=fee,
        category=category,
        description=f"Chargeback {'withdrawal' if amount < 0 else 'reversal'} for "
        f"{dispute['charge']}",
    )
    dispute["balance_transactions"].append(public(moved))


def check_is_open(dispute: Object) -> None:
    if dispute["status"] not in OPEN:
        raise InvalidRequestError("This dispute is already closed")


def win(unit: Unit, dispute: Object) -> None:
    """The money comes back; the fee does not."""
    check_is_open(dispute)
    dispute["status"] = "won"
    # What was won may be refunded again.
    unit.get("charge", dispute["charge"])["_is_charged_back"] = False
    move(unit, dispute, dispute["amount"])
    unit.emit("charge.dispute.closed", dispute)
    unit.emit("charge.dispute.funds_reinstated", dispute)


def lose(unit: Unit, dispute: Object) -> None:
    check_is_open(dispute)
    dispute["status"] = "lost"
    unit.emit("charge.dispute.closed", dispute)


def update(call: Call) -> Object:
    """POST /v1/disputes/{id}: evidence; the words of the test accounts decide."""
    dispute = call.unit.get(KIND, call.id)
    dispute["metadata"] = merged(dispute["metadata"], call.params.get("metadata"))
    evidence = call.params.get("evidence")
    if evidence:
        check_is_open(dispute)
        dispute["evidence"] = {**dispute["evidence"], **evidence}
        dispute["evidence_details"]["has_evidence"] = True
        if call.params.get("submit", True):
            dispute["evidence_details"]["submission_count"] += 1
            dispute["evidence_details"]["submission_method"] = "manual"
            dispute["status"] = "under_review"
    call.unit.emit("charge.dispute.updated", dispute)
    said = dispute["evidence"].get("uncategorized_text")
    if dispute["status"] == "under_review" and said in (WINNING, LOSING):
        (win if said == WINNING else lose)(call.unit, dispute)
    return dispute


def close(call: Call) -> Object:
    """POST /v1/disputes/{id}/close: given up."""
    dispute = call.unit.get(KIND, call.id)
    lose(call.unit, dispute)
    return dispute


def retrieve(call: Call) -> Object:
    """GET /v1/disputes/{id}"""
    return call.unit.get(KIND, call.id)


def list_(call: Call) -> Object:
    """GET /v1/disputes"""
    given = call.params
    return page(
        call,
        KIND,
        lambda one: all(
            given.get(name) in (None, one[name]) for name in ("charge", "payment_intent")
        ),
    )
