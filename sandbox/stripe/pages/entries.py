"""What was entered on the Checkout page, field by field."""

import re
import time
from collections.abc import Mapping
from datetime import UTC, datetime

from sandbox.stripe.cards import CARDS
from sandbox.stripe.checkout_payment import Buyer
from sandbox.stripe.pages.countries import COUNTRIES, TAX_ID_TYPES
from sandbox.stripe.store import Object
from sandbox.stripe.tax_ids import FORMS

ADDRESS = {
    "billingAddressLine1": "line1",
    "billingAddressLine2": "line2",
    "billingLocality": "city",
    "billingPostalCode": "postal_code",
    "billingAdministrativeArea": "state",
}
NEEDED = ("billingAddressLine1", "billingLocality", "billingPostalCode")

NOT_A_TEST_CARD = (
    "This is not one of Stripe's test cards. Real cards are never taken here; "
    "try 4242 4242 4242 4242."
)

Problems = dict[str, str]


def read_entries(form: Mapping[str, str], session: Object) -> tuple[Buyer, Problems]:
    """The buyer, and what is wrong by the name of its field."""
    entered = {name: value.strip() for name, value in form.items()}
    problems: Problems = {}
    buyer = Buyer(email=entered.get("email", ""), name=entered.get("billingName", ""))
    if not re.fullmatch(r"[^@\s]+@[^@\s]+", buyer.email):
        problems["email"] = "Enter a mail address, like you@example.com."
    buyer.saved_method = entered.get("paymentMethod", "")
    if buyer.saved_method in ("", "new"):
        buyer.saved_method = ""
        read_card(entered, buyer, problems)
    buyer.saves_card = entered.get("savePaymentMethod") == "on"
    read_address(entered, buyer, problems, is_needed=needs_address(session))
    if session["tax_id_collection"]["enabled"]:
        read_tax_id(entered, buyer, problems)
    return buyer, problems


def needs_address(session: Object) -> bool:
    return bool(session["billing_address_collection"] == "required")


def read_card(entered: Mapping[str, str], buyer: Buyer, problems: Problems) -> None:
    number = re.sub(r"[\s-]", "", entered.get("cardNumber", ""))
    if not number:
        problems["cardNumber"] = "Enter a card number."
    elif number not in CARDS:
        problems["cardNumber"] = NOT_A_TEST_CARD
    buyer.number = number
    expiry = re.fullmatch(r"(\d{1,2})\s*/?\s*(\d{2}|\d{4})", entered.get("cardExpiry", ""))
    if expiry is None or not 1 <= int(expiry[1]) <= 12:
        problems["cardExpiry"] = "Enter month and year, like 12/34."
    else:
        buyer.exp_month, buyer.exp_year = int(expiry[1]), int(expiry[2]) % 100 + 2000
        today = datetime.fromtimestamp(time.time(), UTC)
        if (buyer.exp_year, buyer.exp_month) < (today.year, today.month):
            problems["cardExpiry"] = "This card has expired."
    if not re.fullmatch(r"\d{3,4}", entered.get("cardCvc", "")):
        problems["cardCvc"] = "Enter the 3 or 4 digits of the security code."
    if not buyer.name:
        problems["billingName"] = "Enter the name on the card."


def read_address(
    entered: Mapping[str, str], buyer: Buyer, problems: Problems, *, is_needed: bool
) -> None:
    country = entered.get("billingCountry", "")
    if country and country not in COUNTRIES:
        problems["billingCountry"] = "Choose a country."
        return
    buyer.address = {"country": country} if country else {}
    if not is_needed:
        return
    if not country:
        problems["billingCountry"] = "Choose a country."
    for name, field in ADDRESS.items():
        buyer.address[field] = entered.get(name) or None
        if name in NEEDED and not entered.get(name):
            problems[name] = "This field is needed."


def read_tax_id(entered: Mapping[str, str], buyer: Buyer, problems: Problems) -> None:
    """All of it may be left out."""
    value, type_ = entered.get("taxId", ""), entered.get("taxIdType", "")
    buyer.business_name = entered.get("businessName", "")
    if not value:
        return
    if type_ not in TAX_ID_TYPES:
        problems["taxIdType"] = "Choose the kind of tax id."
    elif not re.fullmatch(FORMS[type_], value.upper()):
        problems["taxId"] = f"This is not the form of a {TAX_ID_TYPES[type_]}."
    if not buyer.business_name:
        problems["businessName"] = "Enter the name of the business."
    buyer.tax_id_type, buyer.tax_id = type_, value
