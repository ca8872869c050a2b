"""The billing portal: a customer's cards and invoices."""

from html import escape

from aiohttp import web

from sandbox.stripe import payment_methods
from sandbox.stripe.api import Services
from sandbox.stripe.money import shown
from sandbox.stripe.pages.checkout_page import label_of
from sandbox.stripe.pages.documents import day
from sandbox.stripe.pages.layout import html_page, link_button, not_found, see_other
from sandbox.stripe.store import Object, Unit


def find_session(unit: Unit, request: web.Request) -> Object | None:
    secret = request.match_info["secret"]
    found = [one for one in unit.all("billing_portal.session") if one["_secret"] == secret]
    customer = unit.find("customer", found[0]["customer"]) if found else None
    return found[0] if customer and not customer.get("deleted") else None


async def show(request: web.Request, services: Services) -> web.Response:
    unit = services.unit()
    session = find_session(unit, request)
    if session is None:
        return not_found()
    customer = unit.get("customer", session["customer"])
    default = customer["invoice_settings"]["default_payment_method"]
    cards = "".join(
        card_row(one, is_default=one["id"] == default)
        for one in payment_methods.of_customer(unit, customer["id"])
    )
    listed = [one for one in unit.all("invoice") if one["customer"] == customer["id"]][::-1]
    invoices = "".join(
        f'<li class="row"><a href="{escape(one["hosted_invoice_url"])}">{escape(one["number"])}, '
        f"{day(one['created'])}</a>"
        f"<span>{escape(shown(one['total'], one['currency']))}</span></li>"
        for one in listed
    )
    back = session["return_url"]
    body = (
        '<div class="card"><h1>Your billing</h1>'
        f"<p>{escape(customer['name'] or customer['email'] or customer['id'])}</p>"
        f'<h2>Cards</h2><ul class="plain">{cards or "<li>No saved card.</li>"}</ul>'
        f'<h2>Invoices</h2><ul class="plain">{invoices or "<li>No invoice yet.</li>"}</ul>'
        f"{link_button(back, 'Return to AgentFlare') if back else ''}</div>"
    )
    return html_page("Your billing", body)


def card_row(method: Object, *, is_default: bool) -> str:
    label = label_of(method)
    buttons = "" if is_default else button(method, "default", "Make default")
    buttons += button(method, "remove", "Remove")
    return (
        f'<li class="row"><span>{escape(label)}{" (default)" if is_default else ""}</span>'
        f'<form method="post">{buttons}</form></li>'
    )


def button(method: Object, action: str, text: str) -> str:
    label = escape(f"{text}: {label_of(method)}")
    return (
        f'<button class="secondary" name="{action}" value="{escape(method["id"])}" '
        f'aria-label="{label}">{text}</button>'
    )


async def change(request: web.Request, services: Services) -> web.Response:
    form = await request.post()
    unit = services.unit()
    session = find_session(unit, request)
    if session is None:
        return not_found()
    customer = unit.get("customer", session["customer"])
    own = {one["id"] for one in payment_methods.of_customer(unit, customer["id"])}
    if (chosen := form.get("default")) in own:
        customer["invoice_settings"]["default_payment_method"] = chosen
        unit.emit("customer.updated", customer)
    if (gone := form.get("remove")) in own:
        payment_methods.let_go(unit, unit.get("payment_method", str(gone)))
    services.commit(unit)
    return see_other(session["url"])
