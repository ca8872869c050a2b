"""GET and POST of the Checkout page."""

from urllib.parse import urlsplit

from aiohttp import web

from sandbox.stripe import checkout_payment, payment_methods
from sandbox.stripe.api import Services
from sandbox.stripe.errors import StripeError
from sandbox.stripe.pages.checkout_page import checkout_page
from sandbox.stripe.pages.entries import read_entries
from sandbox.stripe.pages.layout import link_button, message_page, not_found, see_other
from sandbox.stripe.store import Object, Unit

AUTHENTICATION_FAILED = (
    "We are unable to authenticate your payment method. Please choose a different payment "
    "method and try again."
)


def success_url(session: Object) -> str:
    url: str = session["success_url"]
    return url.replace("{CHECKOUT_SESSION_ID}", session["id"])


def closed(session: Object) -> web.Response | None:
    """The answer of a session that can't be paid any more."""
    if session["status"] == "complete":
        return see_other(success_url(session))
    if session["status"] == "expired":
        cancel = session["cancel_url"]
        link = link_button(cancel, f"Back to {urlsplit(cancel).netloc}") if cancel else ""
        text = "This page has expired, and nothing was charged. Please start again."
        return message_page("This page has expired", text, link=link, status=410)
    return None


def known_email(unit: Unit, session: Object) -> str:
    customer = unit.find("customer", session["customer"]) if session["customer"] else None
    return (customer or {}).get("email") or session["customer_email"] or ""


def offered_cards(unit: Unit, session: Object) -> list[Object]:
    options = session["saved_payment_method_options"]
    if session["mode"] == "setup" or not session["customer"] or not options:
        return []
    allowed = options["allow_redisplay_filters"] or []
    kept = payment_methods.of_customer(unit, session["customer"])
    return [one for one in kept if one["allow_redisplay"] in allowed]


def last_failure(unit: Unit, session: Object) -> str:
    """Why the try that led to the bank's page came to nothing."""
    kind = "setup_intent" if session["mode"] == "setup" else "payment_intent"
    intent = unit.find(kind, session[kind] or "") or {}
    error = intent.get("last_payment_error") or intent.get("last_setup_error") or {}
    if "authentication" in error.get("code", "authentication"):
        return AUTHENTICATION_FAILED
    return str(error["message"])


async def show(request: web.Request, services: Services) -> web.Response:
    unit = services.unit()
    session = unit.find("checkout.session", request.match_info["id"])
    if session is None:
        return not_found()
    failed = request.query.get("authentication") == "failed"
    return closed(session) or checkout_page(
        session,
        email=known_email(unit, session),
        saved=offered_cards(unit, session),
        entered={},
        problems={},
        alert=last_failure(unit, session) if failed else "",
    )


async def pay(request: web.Request, services: Services) -> web.Response:
    form = await request.post()
    entered = {name: value for name, value in form.items() if isinstance(value, str)}
    # From here on nothing is awaited: pressed twice, it is paid once.
    unit = services.unit()
    session = unit.find("checkout.session", request.match_info["id"])
    if session is None:
        return not_found()
    if answer := closed(session):
        return answer
    entered["email"] = known_email(unit, session) or entered.get("email", "")
    buyer, problems = read_entries(entered, session)
    alert = ""
    if not problems:
        try:
            intent = checkout_payment.pay(unit, session, buyer)
        except StripeError as error:
            if error.keeps_changes:
                services.commit(unit)
            alert = str(error)
        else:
            services.commit(unit)
            if intent["status"] == "requires_action":
                return see_other(intent["next_action"]["redirect_to_url"]["url"])
            return see_other(success_url(session))
    fresh = services.unit()
    return checkout_page(
        session,
        email=known_email(fresh, session),
        saved=offered_cards(fresh, session),
        entered=entered,
        problems=problems,
        alert=alert,
    )
