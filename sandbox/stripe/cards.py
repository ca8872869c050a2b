"""Stripe's test cards: what each of them does when it is saved and when it is charged."""

from dataclasses import dataclass
from typing import Any

DECLINED = "Your card was declined."

# Message by code, as Stripe words them.
MESSAGES = {
    "card_declined": DECLINED,
    "expired_card": "Your card has expired.",
    "incorrect_cvc": "Your card's security code is incorrect.",
    "processing_error": "An error occurred while processing your card. Try again in a little bit.",
}


@dataclass(frozen=True)
class Card:
    """code, decline_code: how it is declined; none: it is not.

    charge_only: saving it works, only charging does not.
    authenticates: "" never; "setup": unless it was saved with authentication; "always".
    dispute: the reason with which its payments are disputed.
    """

    number: str
    brand: str = "visa"
    funding: str = "credit"
    code: str = ""
    decline_code: str = ""
    charge_only: bool = False
    authenticates: str = ""
    dispute: str = ""
    refund_fails: bool = False

    @property
    def last4(self) -> str:
        return self.number[-4:]

    def needs_authentication(self, *, is_set_up: bool) -> bool:
        return self.authenticates == "always" or (self.authenticates == "setup" and not is_set_up)


CARDS = {
    card.number: card
    for card in (
        Card("4242424242424242"),
        Card("4000056655665556", funding="debit"),
        Card("5555555555554444", brand="mastercard"),
        Card("378282246310005", brand="amex"),
        Card("4000000000000002", code="card_declined", decline_code="generic_decline"),
        Card("4000000000009995", code="card_declined", decline_code="insufficient_funds"),
        Card("4000000000009987", code="card_declined", decline_code="lost_card"),
        Card("4000000000000069", code="expired_card"),
        Card("4000000000000127", code="incorrect_cvc"),
        Card("4000000000000119", code="processing_error"),
        Card(
            "4000000000000341",
            code="card_declined",
            decline_code="generic_decline",
            charge_only=True,
        ),
        Card("4000002500003155", authenticates="setup"),
        Card("4000002760003184", authenticates="always"),
        Card(
            "4000008400001629",
            authenticates="always",
            code="card_declined",
            decline_code="generic_decline",
            charge_only=True,
        ),
        Card("4000000000000259", dispute="fraudulent"),
        Card("4000000000002685", dispute="product_not_received"),
        Card("4000000000005126", refund_fails=True),
    )
}

# Payment methods that exist in every test account, each to be used like a fresh one.
TOKENS = {
    "pm_card_visa": "4242424242424242",
    "pm_card_visa_debit": "4000056655665556",
    "pm_card_mastercard": "5555555555554444",
    "pm_card_amex": "378282246310005",
    "pm_card_chargeDeclined": "4000000000000002",
    "pm_card_visa_chargeDeclined": "4000000000000002",
    "pm_card_chargeDeclinedInsufficientFunds": "4000000000009995",
    "pm_card_visa_chargeDeclinedInsufficientFunds": "4000000000009995",
    "pm_card_chargeCustomerFail": "4000000000000341",
    "pm_card_authenticationRequiredOnSetup": "4000002500003155",
    "pm_card_authenticationRequired": "4000002760003184",
    "pm_card_createDispute": "4000000000000259",
    "pm_card_refundFail": "4000000000005126",
}


def decline(card: Card, *, is_saving: bool) -> dict[str, Any] | None:
    """What of an error tells how the card is declined; none when it is not."""
    if not card.code or (is_saving and card.charge_only):
        return None
    message = MESSAGES[card.code]
    if card.decline_code == "insufficient_funds":
        message = "Your card has insufficient funds."
    return {
        "code": card.code,
        "decline_code": card.decline_code or card.code,
        "message": message,
    }
