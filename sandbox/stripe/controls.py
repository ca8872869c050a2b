"""`/__sandbox/`: what tests order of the stand-in. JSON in and out; no key is needed."""

import json
from collections.abc import Awaitable, Callable
from dataclasses import asdict
from typing import Any

from aiohttp import web

from sandbox.stripe import disputes, refunds
from sandbox.stripe.api import Services
from sandbox.stripe.cards import CARDS
from sandbox.stripe.errors import StripeError
from sandbox.stripe.faults import BadOrderError, read_fault
from sandbox.stripe.store import Object, Unit, public
from sandbox.stripe.webhooks import KIND as DELIVERY_KIND
from sandbox.stripe.webhooks import NO_ORDERS

Control = Callable[[web.Request, Services], Awaitable[Any]]

RELEASE_ORDERS = ("created", "reversed", "shuffled")
ORDERS = ("copies", "hold", "drop")


async def order_of(request: web.Request) -> dict[str, Any]:
    """The body's JSON object; empty when there is none. Raises BadOrderError."""
    text = await request.text()
    try:
        given = json.loads(text or "{}")
    except ValueError:
        raise BadOrderError("the body is not JSON") from None
    if not isinstance(given, dict):
        raise BadOrderError("the body is not a JSON object")
    return given


# --- API calls and their faults ------------------------------------------------------


async def list_calls(request: web.Request, services: Services) -> Any:
    return {"calls": services.calls}


async def clear_calls(request: web.Request, services: Services) -> Any:
    services.calls.clear()
    return {"calls": []}


async def list_faults(request: web.Request, services: Services) -> Any:
    return {"faults": services.faults.as_json()}


async def add_fault(request: web.Request, services: Services) -> Any:
    fault = read_fault(await order_of(request))
    services.faults.orders.append(fault)
    return asdict(fault)


async def clear_faults(request: web.Request, services: Services) -> Any:
    services.faults.orders.clear()
    return {"faults": []}


# --- Webhooks ------------------------------------------------------------------------


def shown_orders(services: Services) -> dict[str, Any]:
    return {name: services.webhooks.orders[name] for name in ORDERS}


async def show_orders(request: web.Request, services: Services) -> Any:
    return shown_orders(services)


async def change_orders(request: web.Request, services: Services) -> Any:
    """copies: how often each event is sent. hold, drop: event types, or "*"; or true for all."""
    given = await order_of(request)
    if given.keys() - set(ORDERS):
        raise BadOrderError(f"webhooks have: {', '.join(ORDERS)}")
    for name in ("hold", "drop"):
        if isinstance(given.get(name), bool):
            given[name] = ["*"] if given[name] else []
        if not isinstance(given.get(name, []), list):
            raise BadOrderError(f"{name} is a list of event types, true or false")
    copies = given.get("copies", 1)
    if type(copies) is not int or not 0 < copies <= 10:
        raise BadOrderError("copies is a number from 1 to 10")
    services.webhooks.set_orders(**given)
    return shown_orders(services)


async def clear_orders(request: web.Request, services: Services) -> Any:
    """Back to normal; what is held stays held until it is released."""
    services.webhooks.set_orders(**{name: NO_ORDERS[name] for name in ORDERS})
    return shown_orders(services)


async def release(request: web.Request, services: Services) -> Any:
    """Send what is held, in the `order` created, reversed or shuffled; and hold no more."""
    order = (await order_of(request)).get("order", "created")
    if order not in RELEASE_ORDERS:
        raise BadOrderError(f"order is one of {', '.join(RELEASE_ORDERS)}")
    services.webhooks.set_orders(hold=[])
    return {"released": [one["id"] for one in services.webhooks.release(order)]}


async def list_deliveries(request: web.Request, services: Services) -> Any:
    """Filtered by `event`, `type` and `state`: pending, held, dropped, succeeded, failed."""
    wanted = {
        name: request.query[name] for name in ("event", "type", "state") if name in request.query
    }
    found = services.store.all(DELIVERY_KIND).values()
    return {
        "deliveries": [one for one in found if all(one[name] == wanted[name] for name in wanted)]
    }


async def resend(request: web.Request, services: Services) -> Any:
    event = services.unit().get("event", request.match_info["id"])
    return {"deliveries": [one["id"] for one in services.webhooks.resend(event)]}


# --- What banks and cardholders do ------------------------------------------------------


def charge_named(unit: Unit, object_id: str) -> Object:
    """By its own id, or its PaymentIntent's."""
    if object_id.startswith("pi_"):
        object_id = unit.get("payment_intent", object_id)["latest_charge"] or object_id
    return unit.get("charge", object_id)


def kept(services: Services, unit: Unit, result: Object) -> Object:
    shown = public(result)
    services.commit(unit)
    return shown


async def open_dispute(request: web.Request, services: Services) -> Any:
    """`reason` and `amount` may be given; else fraudulent, and all that is left."""
    given = await order_of(request)
    unit = services.unit()
    charge = charge_named(unit, request.match_info["id"])
    dispute = disputes.open_(
        unit, charge, reason=given.get("reason", "fraudulent"), amount=given.get("amount")
    )
    return kept(services, unit, dispute)


async def end_dispute(request: web.Request, services: Services) -> Any:
    unit = services.unit()
    dispute = unit.get("dispute", request.match_info["id"])
    end = disputes.win if request.match_info["end"] == "win" else disputes.lose
    end(unit, dispute)
    return kept(services, unit, dispute)


async def fail_refund(request: web.Request, services: Services) -> Any:
    unit = services.unit()
    refund = unit.get("refund", request.match_info["id"])
    refunds.fail(unit, refund)
    return kept(services, unit, refund)


async def change_card(request: web.Request, services: Services) -> Any:
    """Let a saved card behave as the test card `number` from now on; it looks as before."""
    number = str((await order_of(request)).get("number", "")).replace(" ", "")
    if number not in CARDS:
        raise BadOrderError("number is that of a test card")
    unit = services.unit()
    method = unit.get("payment_method", request.match_info["id"])
    method["_number"] = number
    return kept(services, unit, method)


CONTROLS: tuple[tuple[str, str, Control], ...] = (
    ("GET", "calls", list_calls),
    ("DELETE", "calls", clear_calls),
    ("GET", "faults", list_faults),
    ("POST", "faults", add_fault),
    ("DELETE", "faults", clear_faults),
    ("GET", "webhooks", show_orders),
    ("POST", "webhooks", change_orders),
    ("DELETE", "webhooks", clear_orders),
    ("POST", "webhooks/release", release),
    ("GET", "deliveries", list_deliveries),
    ("POST", "events/{id}/resend", resend),
    ("POST", "charges/{id}/dispute", open_dispute),
    ("POST", "disputes/{id}/{end:win|lose}", end_dispute),
    ("POST", "refunds/{id}/fail", fail_refund),
    ("POST", "payment_methods/{id}/card", change_card),
)


def control_handler(
    control: Control, services: Services
) -> Callable[[web.Request], Awaitable[web.Response]]:
    async def handle(request: web.Request) -> web.Response:
        try:
            return web.json_response(await control(request, services))
        except BadOrderError as error:
            return web.json_response({"error": str(error)}, status=400)
        except StripeError as error:
            return web.json_response(error.body(), status=error.status)

    return handle
