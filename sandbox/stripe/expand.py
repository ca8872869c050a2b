"""`expand`: ids replaced by the objects that they name, a path at a time."""

from collections.abc import Callable
from typing import Any

from sandbox.stripe import checkout, invoices, tax_ids
from sandbox.stripe.balance import aged
from sandbox.stripe.errors import ParameterError
from sandbox.stripe.lists import list_object
from sandbox.stripe.store import Object, Unit, public

MAX_DEPTH = 4

# Fields that hold an id, by name: of what kind it is.
KINDS = {
    "customer": "customer",
    "payment_intent": "payment_intent",
    "setup_intent": "setup_intent",
    "payment_method": "payment_method",
    "default_payment_method": "payment_method",
    "latest_charge": "charge",
    "charge": "charge",
    "balance_transaction": "balance_transaction",
    "failure_balance_transaction": "balance_transaction",
    "invoice": "invoice",
    "dispute": "dispute",
}
SOURCES = {"ch": "charge", "re": "refund", "du": "dispute"}


def refunds_of(unit: Unit, charge: Object) -> Object:
    found = [one for one in unit.all("refund") if one["charge"] == charge["id"]][::-1]
    return list_object(f"/v1/charges/{charge['id']}/refunds", found)


def items_of(unit: Unit, session: Object) -> Object:
    url = f"/v1/checkout/sessions/{session['id']}/line_items"
    return list_object(url, checkout.items_of(unit.get(checkout.KIND, session["id"])))


def tax_ids_of(unit: Unit, customer: Object) -> Object:
    url = f"/v1/customers/{customer['id']}/tax_ids"
    return list_object(url, tax_ids.of_customer(unit, customer["id"])[::-1])


# Parts that are left out unless they are asked for.
PARTS: dict[tuple[str, str], Callable[[Unit, Object], Object]] = {
    ("charge", "refunds"): refunds_of,
    ("checkout.session", "line_items"): items_of,
    ("customer", "tax_ids"): tax_ids_of,
    ("invoice", "payments"): lambda unit, one: invoices.payments_of(unit, one["id"]),
}


def expanded(unit: Unit, answer: Object, paths: list[str]) -> Object:
    """The answer as it is shown. Raises ParameterError for what can't be expanded."""
    shown = shown_object(answer)
    for path in paths:
        steps = path.split(".")
        if len([one for one in steps if one != "data"]) > MAX_DEPTH:
            raise ParameterError(
                f"You cannot expand more than {MAX_DEPTH} levels of a property ({path}).",
                param="expand",
            )
        expand_one(unit, shown, steps, path)
    return shown


def shown_object(one: Object) -> Object:
    if one.get("object") == "list":
        return {**one, "data": [public(item) for item in one["data"]]}
    return public(one)


def expand_one(unit: Unit, place: Any, steps: list[str], path: str) -> None:
    if isinstance(place, list):
        for item in place:
            expand_one(unit, item, steps, path)
        return
    if not steps or place is None:
        return
    if not isinstance(place, dict):
        raise refused(path)
    step, rest = steps[0], steps[1:]
    if step == "data" and place.get("object") == "list":
        expand_one(unit, place["data"], rest, path)
        return
    part = PARTS.get((place.get("object", ""), step))
    if part and step not in place:
        place[step] = shown_object(part(unit, place))
    elif isinstance(value := place.get(step), str):
        place[step] = named_by(unit, step, value, path)
    elif step not in place or (
        not rest and not isinstance(value, dict | list) and value is not None
    ):
        raise refused(path)
    expand_one(unit, place[step], rest, path)


def can_be_expanded(place: Object, step: str, *, is_last: bool) -> bool:
    """An object is so already, and nothing stays nothing; a number is not to be expanded."""
    value = place.get(step)
    return step in place and (value is None or isinstance(value, dict | list) or not is_last)


def named_by(unit: Unit, name: str, object_id: str, path: str) -> Object:
    kind = KINDS.get(name)
    if name == "source":
        kind = SOURCES.get(object_id.partition("_")[0])
    found = unit.find(kind, object_id) if kind else None
    if found is None:
        raise refused(path)
    return public(aged(unit, found) if kind == "balance_transaction" else found)


def refused(path: str) -> ParameterError:
    return ParameterError(
        f"This property cannot be expanded ({path}). You may want to try expanding one of its "
        "parents or children.",
        param="expand",
    )
