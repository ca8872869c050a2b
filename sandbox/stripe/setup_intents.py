"""SetupIntents: saving a card without charging it. Made by Checkout; read by API."""

from sandbox.stripe.call import Call
from sandbox.stripe.cards import decline
from sandbox.stripe.errors import PaymentFailedError
from sandbox.stripe.lists import page
from sandbox.stripe.payment_methods import attach, card_of
from sandbox.stripe.payments import ask_for_authentication
from sandbox.stripe.store import Object, Unit, new_id, public

KIND = "setup_intent"


def make(
    unit: Unit, *, customer: str | None, description: str | None, metadata: dict[str, str]
) -> Object:
    intent = unit.add(
        "seti",
        KIND,
        application=None,
        automatic_payment_methods=None,
        cancellation_reason=None,
        customer=customer,
        description=description,
        flow_directions=None,
        last_setup_error=None,
        latest_attempt=None,
        livemode=False,
        mandate=None,
        metadata=metadata,
        next_action=None,
        on_behalf_of=None,
        payment_method=None,
        payment_method_configuration_details=None,
        payment_method_options={
            "card": {
                "mandate_options": None,
                "network": None,
                "request_three_d_secure": "automatic",
            }
        },
        payment_method_types=["card"],
        single_use_mandate=None,
        status="requires_payment_method",
        usage="off_session",
    )
    intent["client_secret"] = new_id(f"{intent['id']}_secret")
    unit.emit("setup_intent.created", intent)
    return intent


def attempt(unit: Unit, intent: Object, *, is_authenticated: bool = False) -> None:
    """Save the card. It succeeds, or waits for 3-D Secure.

    Raises PaymentFailedError when it is declined.
    """
    method = unit.get("payment_method", intent["payment_method"])
    card = card_of(method)
    if card.authenticates and not is_authenticated:
        ask_for_authentication(unit, intent, None)
        return
    if refusal := decline(card, is_saving=True):
        fail(unit, intent, method, refusal)
    method["_is_set_up"] = True
    if intent["customer"]:
        attach(unit, method, intent["customer"])
    intent.update(status="succeeded", next_action=None, last_setup_error=None)
    unit.emit("setup_intent.succeeded", intent)


def fail(unit: Unit, intent: Object, method: Object, refusal: dict[str, str]) -> None:
    intent.update(
        status="requires_payment_method",
        payment_method=None,
        next_action=None,
        last_setup_error={**refusal, "payment_method": public(method), "type": "card_error"},
    )
    unit.emit("setup_intent.setup_failed", intent)
    raise PaymentFailedError(refusal["message"], code=refusal["code"])


def cancel(unit: Unit, intent: Object) -> None:
    intent.update(status="canceled", cancellation_reason="abandoned", next_action=None)
    unit.emit("setup_intent.canceled", intent)


def retrieve(call: Call) -> Object:
    """GET /v1/setup_intents/{id}"""
    return call.unit.get(KIND, call.id)


def list_(call: Call) -> Object:
    """GET /v1/setup_intents"""
    given = call.params
    return page(
        call,
        KIND,
        lambda one: all(
            given.get(name) in (None, one[name]) for name in ("customer", "payment_method")
        ),
    )
