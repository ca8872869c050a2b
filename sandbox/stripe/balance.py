"""The account's balance: a transaction for everything that moves it."""

from collections import defaultdict

from sandbox.stripe.call import Call
from sandbox.stripe.lists import page
from sandbox.stripe.store import Object, Unit

KIND = "balance_transaction"

# When a payment's money may be paid out.
AVAILABLE_AFTER_S = 2 * 86_400

CATEGORIES = {"payment_failure_refund": "refund_failure", "adjustment": "dispute"}


def move(
    unit: Unit,
    type_: str,
    amount: int,
    currency: str,
    *,
    source: str,
    fee: int = 0,
    category: str = "",
    description: str | None = None,
) -> Object:
    """amount: from the customers' side, before the fee."""
    delay = AVAILABLE_AFTER_S if type_ == "charge" else 0
    fees = [
        {
            "amount": fee,
            "application": None,
            "currency": currency,
            "description": "Dispute fee" if type_ == "adjustment" else "Stripe processing fees",
            "type": "stripe_fee",
        }
    ]
    return unit.add(
        "txn",
        KIND,
        amount=amount,
        available_on=unit.now + delay,
        balance_type="payments",
        currency=currency,
        description=description,
        exchange_rate=None,
        fee=fee,
        fee_details=fees if fee else [],
        net=amount - fee,
        reporting_category=category or CATEGORIES.get(type_, type_),
        source=source,
        status="pending" if delay else "available",
        type=type_,
    )


def aged(unit: Unit, one: Object) -> Object:
    """With the status of now."""
    return {**one, "status": "available" if one["available_on"] <= unit.now else "pending"}


def retrieve(call: Call) -> Object:
    """GET /v1/balance_transactions/{id}"""
    return aged(call.unit, call.unit.get(KIND, call.id))


def list_(call: Call) -> Object:
    """GET /v1/balance_transactions"""
    given = call.params
    found = page(
        call,
        KIND,
        lambda one: all(
            given.get(name) in (None, one[name]) for name in ("type", "source", "currency")
        ),
    )
    found["data"] = [aged(call.unit, one) for one in found["data"]]
    return found


def balance(call: Call) -> Object:
    """GET /v1/balance"""
    sums: dict[str, dict[str, int]] = {"available": defaultdict(int), "pending": defaultdict(int)}
    for one in call.unit.all(KIND):
        sums[aged(call.unit, one)["status"]][one["currency"]] += one["net"]
    shown = {
        name: [
            {
                "amount": total[currency],
                "currency": currency,
                "source_types": {"card": total[currency]},
            }
            for currency in sorted(total) or ["usd"]
        ]
        for name, total in sums.items()
    }
    return {"object": "balance", "livemode": False, **shown}
