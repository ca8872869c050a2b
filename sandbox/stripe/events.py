"""Events by API: what to fetch when webhooks were missed."""

from fnmatch import fnmatchcase

from sandbox.stripe.call import Call
from sandbox.stripe.errors import InvalidRequestError
from sandbox.stripe.lists import page
from sandbox.stripe.store import Object

KIND = "event"
MAX_TYPES = 20


def retrieve(call: Call) -> Object:
    """GET /v1/events/{id}"""
    return call.unit.get(KIND, call.id)


def list_(call: Call) -> Object:
    """GET /v1/events: newest first, by type, time, and whether all webhooks arrived"""
    given = call.params
    if "type" in given and "types" in given:
        raise InvalidRequestError("You may only specify one of these parameters: type, types.")
    types = given.get("types", [given["type"]] if "type" in given else None)
    if types is not None and len(types) > MAX_TYPES:
        raise InvalidRequestError(
            f"You may only specify up to {MAX_TYPES} event types.", param="types"
        )
    success = given.get("delivery_success")
    return page(
        call,
        KIND,
        lambda one: (
            (types is None or any(fnmatchcase(one["type"], wanted) for wanted in types))
            and success in (None, one["pending_webhooks"] == 0)
        ),
    )
