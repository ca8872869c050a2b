"""PaymentIntents by API: create, confirm (off-session too), retrieve, update, cancel, list."""

from typing import Any

from sandbox.stripe import payment_methods, payments
from sandbox.stripe.call import Call
from sandbox.stripe.errors import InvalidRequestError, NotServedError
from sandbox.stripe.lists import page
from sandbox.stripe.metadata import merged, take
from sandbox.stripe.money import CURRENCIES, MAXIMUM, MINIMUM, shown
from sandbox.stripe.store import Object, Unit, new_id, public

KIND = "payment_intent"

CONFIRMABLE = ("requires_payment_method", "requires_confirmation", "requires_action")
CANCELABLE = (
    "requires_payment_method",
    "requires_capture",
    "requires_confirmation",
    "requires_action",
    "processing",
)


def make(unit: Unit, amount: int, currency: str, **fields: Any) -> Object:
    """Raises InvalidRequestError for an amount that can't be charged."""
    currency = check_amount(amount, currency)
    intent = unit.add(
        "pi",
        KIND,
        amount=amount,
        amount_capturable=0,
        amount_details={"tip": {}},
        amount_received=0,
        application=None,
        application_fee_amount=None,
        automatic_payment_methods=None,
        canceled_at=None,
        cancellation_reason=None,
        capture_method="automatic_async",
        confirmation_method="automatic",
        currency=currency,
        **{
            "customer": None,
            "description": None,
            "last_payment_error": None,
            "latest_charge": None,
            "livemode": False,
            "metadata": {},
            "next_action": None,
            "on_behalf_of": None,
            "payment_method": None,
            "payment_method_configuration_details": None,
            "payment_method_options": {
                "card": {
                    "installments": None,
                    "mandate_options": None,
                    "network": None,
                    "request_three_d_secure": "automatic",
                }
            },
            "payment_method_types": ["card"],
            "processing": None,
            "receipt_email": None,
            "review": None,
            "setup_future_usage": None,
            "shipping": None,
            "source": None,
            "statement_descriptor": None,
            "statement_descriptor_suffix": None,
            "transfer_data": None,
            "transfer_group": None,
            **fields,
        },
    )
    intent["client_secret"] = new_id(f"{intent['id']}_secret")
    intent["status"] = (
        "requires_confirmation" if intent["payment_method"] else "requires_payment_method"
    )
    return intent


def check_amount(amount: int, currency: str) -> str:
    """The currency as Stripe writes it. Raises InvalidRequestError."""
    currency = currency.lower()
    if currency not in CURRENCIES:
        raise InvalidRequestError(
            f"Invalid currency: {currency}. Stripe currently supports these currencies: "
            f"{', '.join(sorted(CURRENCIES))}",
            param="currency",
        )
    if amount < 1:
        raise InvalidRequestError(
            "This value must be greater than or equal to 1.",
            code="parameter_invalid_integer",
            param="amount",
        )
    if amount < MINIMUM:
        raise InvalidRequestError(
            f"Amount must be at least {shown(MINIMUM, currency)} {currency}",
            code="amount_too_small",
            param="amount",
        )
    if amount > MAXIMUM:
        raise InvalidRequestError(
            f"Amount must be no more than {shown(MAXIMUM, currency)} {currency}",
            code="amount_too_large",
            param="amount",
        )
    return currency


def create(call: Call) -> Object:
    """POST /v1/payment_intents"""
    unit, given = call.unit, call.params
    if customer_id := given.get("customer"):
        unit.get("customer", customer_id, param="customer")
    if given.get("allowed_payment_method_types", ["card"]) != ["card"]:
        raise NotServedError(
            "payment methods other than cards", param="allowed_payment_method_types"
        )
    if not given.get("confirm"):
        for name in ("off_session", "return_url", "error_on_requires_action"):
            if name in given:
                raise InvalidRequestError(
                    f"`{name}` is only allowed when `confirm` is true.", param=name
                )
    fields = {
        name: given[name]
        for name in (
            "customer",
            "description",
            "receipt_email",
            "setup_future_usage",
            "statement_descriptor",
            "statement_descriptor_suffix",
        )
        if given.get(name)
    }
    automatic = given.get("automatic_payment_methods")
    intent = make(unit, given["amount"], given["currency"], **fields)
    if automatic and automatic["enabled"]:
        intent["automatic_payment_methods"] = {"allow_redirects": "always", **automatic}
    intent["metadata"] = merged({}, given.get("metadata"))
    use_method(unit, intent, given)
    unit.emit("payment_intent.created", intent)
    if given.get("confirm"):
        go_on(call, intent)
    return intent


def use_method(unit: Unit, intent: Object, given: dict[str, Any]) -> None:
    if not given.get("payment_method"):
        return
    method = payment_methods.take(unit, given["payment_method"], param="payment_method")
    payments.check_method(intent, method)
    intent["payment_method"] = method["id"]
    if intent["status"] == "requires_payment_method":
        intent["status"] = "requires_confirmation"


def go_on(call: Call, intent: Object) -> None:
    """Confirm: the money, 3-D Secure, or PaymentFailedError."""
    given = call.params
    if intent["payment_method"] is None:
        raise InvalidRequestError(
            "You cannot confirm this PaymentIntent because it's missing a payment method. You can "
            "either update the PaymentIntent with a payment method and then confirm it again, or "
            "confirm it again directly with a payment method or ConfirmationToken.",
            code="payment_intent_unexpected_state",
            payment_intent=public(intent),
        )
    off_session = given.get("off_session") not in (None, False, "false")
    payments.attempt(
        call.unit,
        intent,
        off_session=off_session,
        return_url=given.get("return_url"),
        error_on_action=given.get("error_on_requires_action", False),
    )


def confirm(call: Call) -> Object:
    """POST /v1/payment_intents/{id}/confirm"""
    intent = call.unit.get(KIND, call.id)
    if intent["status"] not in CONFIRMABLE:
        why = {
            "succeeded": "it has already succeeded after being previously confirmed",
            "canceled": "it has already been canceled",
        }.get(intent["status"], f"it has a status of {intent['status']}")
        raise InvalidRequestError(
            f"You cannot confirm this PaymentIntent because {why}.",
            code="payment_intent_unexpected_state",
            payment_intent=public(intent),
        )
    check_is_free(intent, "confirm")
    take(intent, call.params, "receipt_email", "setup_future_usage")
    use_method(call.unit, intent, call.params)
    go_on(call, intent)
    return intent


def check_is_free(intent: Object, action: str) -> None:
    if intent.get("_session"):
        raise InvalidRequestError(
            f"You cannot {action} this PaymentIntent because it was created by Checkout.",
            code="payment_intent_unexpected_state",
        )


def cancel(call: Call) -> Object:
    """POST /v1/payment_intents/{id}/cancel"""
    intent = call.unit.get(KIND, call.id)
    if intent["status"] not in CANCELABLE:
        raise InvalidRequestError(
            f"You cannot cancel this PaymentIntent because it has a status of {intent['status']}. "
            "Only a PaymentIntent with one of the following statuses may be canceled: "
            f"{', '.join(CANCELABLE)}.",
            code="payment_intent_unexpected_state",
            payment_intent=public(intent),
        )
    check_is_free(intent, "cancel")
    end(call.unit, intent, call.params.get("cancellation_reason"))
    return intent


def end(unit: Unit, intent: Object, reason: str | None) -> None:
    intent.update(
        status="canceled", canceled_at=unit.now, cancellation_reason=reason, next_action=None
    )
    unit.emit("payment_intent.canceled", intent)


def update(call: Call) -> Object:
    """POST /v1/payment_intents/{id}"""
    intent, given = call.unit.get(KIND, call.id), call.params
    if "amount" in given:
        if intent["status"] not in ("requires_payment_method", "requires_confirmation"):
            raise InvalidRequestError(
                "This PaymentIntent's amount could not be updated because it has a status of "
                f"{intent['status']}.",
                code="payment_intent_unexpected_state",
                payment_intent=public(intent),
            )
        check_amount(given["amount"], intent["currency"])
        intent["amount"] = given["amount"]
    take(intent, given, "description", "receipt_email", "setup_future_usage")
    intent["metadata"] = merged(intent["metadata"], given.get("metadata"))
    use_method(call.unit, intent, given)
    return intent


def retrieve(call: Call) -> Object:
    """GET /v1/payment_intents/{id}"""
    return call.unit.get(KIND, call.id)


def list_(call: Call) -> Object:
    """GET /v1/payment_intents"""
    customer = call.params.get("customer")
    return page(call, KIND, lambda one: customer in (None, one["customer"]))
