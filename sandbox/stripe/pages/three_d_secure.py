"""The page of the cardholder's bank: 3-D Secure."""

from html import escape
from urllib.parse import urlencode, urlsplit, urlunsplit

from aiohttp import web

from sandbox.stripe import checkout_payment
from sandbox.stripe.api import Services
from sandbox.stripe.errors import StripeError
from sandbox.stripe.money import shown
from sandbox.stripe.pages.layout import html_page, message_page, not_found, see_other
from sandbox.stripe.pages.pay import success_url
from sandbox.stripe.store import Object, Unit


def find_intent(unit: Unit, request: web.Request) -> Object | None:
    intent_id, secret = request.match_info["id"], request.match_info["secret"]
    kind = "setup_intent" if intent_id.startswith("seti_") else "payment_intent"
    found = unit.find(kind, intent_id)
    return found if found and found["client_secret"].endswith(f"_secret_{secret}") else None


async def show(request: web.Request, services: Services) -> web.Response:
    unit = services.unit()
    intent = find_intent(unit, request)
    if intent is None:
        return not_found()
    if intent["status"] != "requires_action":
        return back(unit, intent)
    what = "Save your card"
    if intent["object"] == "payment_intent":
        what = f"Pay {shown(intent['amount'], intent['currency'])} to AgentFlare"
    method = unit.get("payment_method", intent["payment_method"])
    body = (
        '<div class="card"><h1>3-D Secure: your bank asks you to confirm</h1>'
        f"<p>{escape(what)} with the card ending in {escape(method['card']['last4'])}.</p>"
        '<form method="post">'
        '<button class="primary" name="answer" value="complete">Complete</button>'
        '<button class="secondary" name="answer" value="fail">Fail</button></form></div>'
    )
    return html_page("3-D Secure", body)


async def answer(request: web.Request, services: Services) -> web.Response:
    form = await request.post()
    given = form.get("answer")
    unit = services.unit()
    intent = find_intent(unit, request)
    if intent is None:
        return not_found()
    if intent["status"] == "requires_action" and given in ("complete", "fail"):
        try:
            checkout_payment.authenticate(unit, intent, succeeds=given == "complete")
        except StripeError as error:
            if not error.keeps_changes:
                return message_page("This did not work", str(error), status=400)
        services.commit(unit)
    return back(unit, intent)


def back(unit: Unit, intent: Object) -> web.Response:
    """To where the buyer came from."""
    succeeded = intent["status"] == "succeeded"
    if session_id := intent.get("_session"):
        session = unit.get("checkout.session", session_id)
        if session["status"] == "complete":
            return see_other(success_url(session))
        return see_other(f"{unit.url}/c/pay/{session_id}?authentication=failed")
    if url := intent.get("_return_url"):
        return see_other(with_outcome(url, intent, succeeded=succeeded))
    text = "The payment succeeded." if succeeded else "The payment was not made."
    return message_page("3-D Secure", f"{text} You may close this page.")


def with_outcome(url: str, intent: Object, *, succeeded: bool) -> str:
    parts = urlsplit(url)
    added = urlencode(
        {
            intent["object"]: intent["id"],
            f"{intent['object']}_client_secret": intent["client_secret"],
            "redirect_status": "succeeded" if succeeded else "failed",
        }
    )
    query = f"{parts.query}&{added}" if parts.query else added
    return urlunsplit(parts._replace(query=query))
