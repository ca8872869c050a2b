"""The Checkout page's HTML."""

from collections.abc import Mapping
from html import escape

from aiohttp import web

from sandbox.stripe.money import shown
from sandbox.stripe.pages.countries import COUNTRIES, TAX_ID_TYPES
from sandbox.stripe.pages.entries import Problems, needs_address
from sandbox.stripe.pages.layout import html_page, link_button
from sandbox.stripe.store import Object

TEST_CARDS = {
    "4242 4242 4242 4242": "succeeds",
    "4000 0000 0000 0002": "is declined",
    "4000 0000 0000 9995": "has insufficient funds",
    "4000 0025 0000 3155": "needs 3-D Secure, until it is saved",
    "4000 0027 6000 3184": "needs 3-D Secure every time",
    "4000 0000 0000 0341": "can be saved, and is declined when charged",
    "4000 0000 0000 0259": "succeeds, and is disputed later",
}


def checkout_page(
    session: Object,
    *,
    email: str,
    saved: list[Object],
    entered: Mapping[str, str],
    problems: Problems,
    alert: str = "",
) -> web.Response:
    """email: known already, or empty. saved: cards that are offered. alert: of the whole try."""
    form = Form(entered, problems)
    is_setup = session["mode"] == "setup"
    title = "Save a card" if is_setup else "Pay"
    body = (
        f'<div class="columns">\n<section class="card" aria-label="Order">{order(session)}'
        f'</section>\n<section class="card" aria-label="Payment">'
        f"{alerts(alert, problems)}"
        f'<form method="post" novalidate>\n{contact(form, email)}\n'
        f"{card_part(form, session, saved)}\n{address_part(form, session)}\n"
        f"{tax_part(form, session)}"
        f"{submit_text(session)}"
        f'<button class="primary" type="submit">{escape(button_text(session))}</button>\n</form>\n'
        f"{link_button(session['cancel_url'], 'Cancel') if session['cancel_url'] else ''}"
        f"{test_cards()}</section>\n</div>"
    )
    return html_page(title, body, status=200 if not (alert or problems) else 402)


def order(session: Object) -> str:
    if session["mode"] == "setup":
        return "<h1>Save a card for later payments</h1><p>Nothing is charged now.</p>"
    currency = session["currency"]
    rows = "".join(
        f'<li class="row"><span>{escape(item["description"])}'
        f"{quantity(item)}{details(item)}</span>"
        f"<span>{escape(shown(item['amount_total'], currency))}</span></li>"
        for item in session["_line_items"]
    )
    total = escape(shown(session["amount_total"], currency))
    return (
        f'<h1>Pay AgentFlare</h1><p class="total">{total}</p><ul class="plain">{rows}'
        f'<li class="row"><strong>Total due</strong><strong>{total}</strong></li></ul>'
    )


def quantity(item: Object) -> str:
    return f" × {item['quantity']}" if item["quantity"] != 1 else ""


def details(item: Object) -> str:
    text = item.get("_details")
    return f'<br><span class="soft">{escape(text)}</span>' if text else ""


def button_text(session: Object) -> str:
    if session["mode"] == "setup":
        return "Save card"
    return f"Pay {shown(session['amount_total'], session['currency'])}"


def submit_text(session: Object) -> str:
    text = (session["custom_text"]["submit"] or {}).get("message")
    return f'<p class="soft">{escape(text)}</p>' if text else ""


def alerts(alert: str, problems: Problems) -> str:
    if problems:
        alert = "Please look at the fields marked below."
    return f'<div class="alert" role="alert">{escape(alert)}</div>' if alert else ""


def contact(form: "Form", email: str) -> str:
    if not email:
        return form.text("email", "Email", kind="email", autocomplete="email")
    return (
        f'<p class="soft">Email</p><p>{escape(email)}</p>'
        f'<input type="hidden" name="email" value="{escape(email)}">'
    )


def card_part(form: "Form", session: Object, saved: list[Object]) -> str:
    fields = (
        form.text(
            "cardNumber",
            "Card number",
            inputmode="numeric",
            autocomplete="cc-number",
            placeholder="4242 4242 4242 4242",
        )
        + '<div class="pair"><div>'
        + form.text("cardExpiry", "Expiry (MM/YY)", autocomplete="cc-exp", placeholder="12/34")
        + "</div><div>"
        + form.text("cardCvc", "CVC", inputmode="numeric", autocomplete="cc-csc", placeholder="123")
        + "</div></div>"
        + form.text("billingName", "Name on card", autocomplete="cc-name")
        + save_box(form, session)
    )
    if not saved:
        return fields
    chosen = form.entered.get("paymentMethod") or saved[0]["id"]
    choices = "".join(
        saved_choice(one["id"], label_of(one), is_chosen=chosen == one["id"]) for one in saved
    )
    choices += saved_choice("new", "Another card", is_chosen=chosen == "new")
    # Hidden by the style sheet while a saved card is chosen.
    return (
        f'<fieldset><legend>Card</legend>{choices}</fieldset><div class="new-card">{fields}</div>'
    )


def saved_choice(value: str, text: str, *, is_chosen: bool) -> str:
    checked = " checked" if is_chosen else ""
    return (
        f'<label class="choice"><input type="radio" name="paymentMethod" value="{escape(value)}"'
        f"{checked}> {escape(text)}</label>"
    )


def label_of(method: Object) -> str:
    card = method["card"]
    expiry = f"{card['exp_month']:02}/{card['exp_year'] % 100:02}"
    return f"{card['brand'].capitalize()} ending in {card['last4']}, expires {expiry}"


def save_box(form: "Form", session: Object) -> str:
    options = session["saved_payment_method_options"] or {}
    if options.get("payment_method_save") != "enabled":
        return ""
    checked = " checked" if form.entered.get("savePaymentMethod") == "on" else ""
    return (
        '<label class="choice"><input type="checkbox" name="savePaymentMethod" '
        f'id="savePaymentMethod"{checked}> Save this card for later purchases</label>'
    )


def address_part(form: "Form", session: Object) -> str:
    country = form.select(
        "billingCountry", "Country", {"": "Choose", **COUNTRIES}, autocomplete="billing country"
    )
    if not needs_address(session):
        return country
    return (
        "<h2>Billing address</h2>"
        + country
        + form.text("billingAddressLine1", "Address", autocomplete="billing address-line1")
        + form.text(
            "billingAddressLine2", "Address, second line", autocomplete="billing address-line2"
        )
        + '<div class="pair"><div>'
        + form.text("billingPostalCode", "Postal code", autocomplete="billing postal-code")
        + "</div><div>"
        + form.text("billingLocality", "City", autocomplete="billing address-level2")
        + "</div></div>"
        + form.text(
            "billingAdministrativeArea",
            "State or region, if any",
            autocomplete="billing address-level1",
        )
    )


def tax_part(form: "Form", session: Object) -> str:
    if not session["tax_id_collection"]["enabled"]:
        return ""
    return (
        "<h2>Buying as a business (optional)</h2>"
        + form.text("businessName", "Business name", autocomplete="organization")
        + form.select("taxIdType", "Kind of tax id", {"": "None", **TAX_ID_TYPES})
        + form.text("taxId", "Tax id")
    )


def test_cards() -> str:
    rows = "".join(
        f"<tr><td>{escape(number)}</td><td>{escape(text)}</td></tr>"
        for number, text in TEST_CARDS.items()
    )
    return (
        '<details><summary>Test cards</summary><p class="soft">Any CVC, any expiry to come.</p>'
        '<table><thead><tr><th scope="col">Number</th><th scope="col">What it does</th></tr>'
        f"</thead><tbody>{rows}</tbody></table></details>"
    )


class Form:
    """Fields with what was entered before and what was wrong with it."""

    def __init__(self, entered: Mapping[str, str], problems: Problems) -> None:
        self.entered = entered
        self.problems = problems

    def text(self, name: str, label: str, *, kind: str = "text", **attributes: str) -> str:
        # A security code is never shown again.
        value = "" if name == "cardCvc" else self.entered.get(name, "")
        extra = "".join(f' {key}="{escape(text)}"' for key, text in attributes.items())
        return (
            f'<label for="{name}">{escape(label)}</label>'
            f'<input type="{kind}" id="{name}" name="{name}" value="{escape(value)}"{extra}'
            f"{self.marks(name)}>{self.problem(name)}"
        )

    def select(self, name: str, label: str, options: Mapping[str, str], **attributes: str) -> str:
        chosen = self.entered.get(name, "")
        extra = "".join(f' {key}="{escape(text)}"' for key, text in attributes.items())
        items = "".join(
            f'<option value="{escape(value)}"{" selected" if value == chosen else ""}>'
            f"{escape(text)}</option>"
            for value, text in options.items()
        )
        return (
            f'<label for="{name}">{escape(label)}</label>'
            f'<select id="{name}" name="{name}"{extra}{self.marks(name)}>{items}</select>'
            f"{self.problem(name)}"
        )

    def marks(self, name: str) -> str:
        if name not in self.problems:
            return ""
        return f' aria-invalid="true" aria-describedby="{name}-problem"'

    def problem(self, name: str) -> str:
        text = self.problems.get(name)
        return f'<p class="problem" id="{name}-problem">{escape(text)}</p>' if text else ""
