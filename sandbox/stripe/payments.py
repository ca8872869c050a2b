"""Taking a card's money for a PaymentIntent: by API or on a page, it goes the same way."""

from typing import Any

from sandbox.stripe import charges
from sandbox.stripe.cards import decline
from sandbox.stripe.errors import InvalidRequestError, PaymentFailedError
from sandbox.stripe.payment_methods import attach, card_of
from sandbox.stripe.store import Object, Unit, public

AUTHENTICATION_REQUIRED = {
    "code": "authentication_required",
    "decline_code": "authentication_required",
    "message": "Your card was declined. This transaction requires authentication.",
}
AUTHENTICATION_FAILED = {
    "code": "payment_intent_authentication_failure",
    "message": "The provided PaymentMethod has failed authentication. You can provide "
    "payment_method_data or a new PaymentMethod to attempt to fulfill this PaymentIntent again.",
}


def check_method(intent: Object, method: Object) -> None:
    """Raises InvalidRequestError for a payment method that the intent may not use."""
    if method.get("_is_detached"):
        raise InvalidRequestError(
            "The provided PaymentMethod was previously used with a PaymentIntent without Customer "
            "attachment or was detached from a Customer, and may not be used again.",
            param="payment_method",
        )
    owner = method["customer"]
    if owner is None or owner == intent["customer"]:
        return
    if intent["customer"] is None:
        raise InvalidRequestError(
            f"The provided PaymentMethod belongs to Customer {owner}. Please include the Customer "
            "in the `customer` parameter on the PaymentIntent.",
            param="payment_method",
        )
    raise InvalidRequestError(
        f"The customer does not have a payment method with the ID {method['id']}. The payment "
        "method must be attached to the customer.",
        code="resource_missing",
        param="payment_method",
    )


def attempt(
    unit: Unit,
    intent: Object,
    *,
    off_session: bool = False,
    is_authenticated: bool = False,
    return_url: str | None = None,
    error_on_action: bool = False,
) -> None:
    """Try to take the money. It succeeds, or waits for 3-D Secure (`requires_action`).

    Raises PaymentFailedError when it is declined; the intent then wants another card.
    """
    method = unit.get("payment_method", intent["payment_method"], param="payment_method")
    check_method(intent, method)
    card = card_of(method)
    needed = card.needs_authentication(is_set_up=off_session and method["_is_set_up"])
    if needed and not is_authenticated:
        if off_session or error_on_action:
            fail(unit, intent, method, AUTHENTICATION_REQUIRED)
        ask_for_authentication(unit, intent, return_url)
        return
    if refusal := decline(card, is_saving=False):
        fail(unit, intent, method, refusal)
    charge = charges.make(
        unit, intent, method, refusal=None, is_authenticated=needed and is_authenticated
    )
    intent.update(
        status="succeeded",
        amount_received=intent["amount"],
        latest_charge=charge["id"],
        next_action=None,
        last_payment_error=None,
    )
    if intent["setup_future_usage"]:
        method["_is_set_up"] = True
        if intent["customer"]:
            attach(unit, method, intent["customer"])
    elif method["customer"] is None:
        # Used once, and never again.
        method["_is_detached"] = True
    unit.emit("payment_intent.succeeded", intent)


def ask_for_authentication(unit: Unit, intent: Object, return_url: str | None) -> None:
    page = f"{unit.url}/3ds/{intent['id']}/{intent['client_secret'].rpartition('_')[2]}"
    intent["status"] = "requires_action"
    intent["_return_url"] = return_url
    intent["next_action"] = {
        "redirect_to_url": {"return_url": return_url, "url": page},
        "type": "redirect_to_url",
    }
    unit.emit(f"{intent['object']}.requires_action", intent)


def fail(unit: Unit, intent: Object, method: Object, refusal: dict[str, Any]) -> None:
    """Note the failed try and raise PaymentFailedError."""
    if refusal is not AUTHENTICATION_FAILED:
        charge = charges.make(unit, intent, method, refusal=refusal, is_authenticated=False)
        intent["latest_charge"] = charge["id"]
        refusal = {**refusal, "charge": charge["id"]}
    code = refusal["code"].replace("_", "-")
    error = {
        **refusal,
        "doc_url": f"https://stripe.com/docs/error-codes/{code}",
        "payment_method": public(method),
        "type": "card_error",
    }
    intent.update(
        status="requires_payment_method",
        payment_method=None,
        next_action=None,
        last_payment_error=error,
    )
    unit.emit("payment_intent.payment_failed", intent)
    raise PaymentFailedError(
        refusal["message"],
        **{name: value for name, value in error.items() if name not in ("message", "type")},
        payment_intent=public(intent),
        param="",
    )
