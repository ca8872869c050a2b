"""Lists, newest first, a page at a time."""

from collections.abc import Callable
from typing import Any

from sandbox.stripe.call import Call
from sandbox.stripe.errors import InvalidRequestError, NoSuchObjectError
from sandbox.stripe.store import Object

DEFAULT_LIMIT = 10
MAX_LIMIT = 100

COMPARE: dict[str, Callable[[int, int], bool]] = {
    "gt": lambda a, b: a > b,
    "gte": lambda a, b: a >= b,
    "lt": lambda a, b: a < b,
    "lte": lambda a, b: a <= b,
}


def list_object(url: str, data: list[Object], *, has_more: bool = False) -> Object:
    return {"object": "list", "data": data, "has_more": has_more, "url": url}


def page(call: Call, kind: str, is_wanted: Callable[[Object], bool] = lambda _: True) -> Object:
    """The page that the call's `limit`, `starting_after`, `ending_before`, `created` ask for."""
    given = call.params
    limit = given.get("limit", DEFAULT_LIMIT)
    if not 1 <= limit <= MAX_LIMIT:
        raise InvalidRequestError(
            f"Limit must be between 1 and {MAX_LIMIT}; you passed {limit}", param="limit"
        )
    found = [one for one in call.unit.all(kind) if is_wanted(one)]
    found.reverse()
    if "created" in given:
        found = [one for one in found if is_created_in(one, given["created"])]
    if "ending_before" in given:
        before = found[: position(found, kind, given, "ending_before")]
        return list_object(call.path, before[-limit:], has_more=len(before) > limit)
    if "starting_after" in given:
        found = found[position(found, kind, given, "starting_after") + 1 :]
    return list_object(call.path, found[:limit], has_more=len(found) > limit)


def is_created_in(one: Object, wanted: dict[str, int] | int) -> bool:
    if isinstance(wanted, int):
        return bool(one["created"] == wanted)
    return all(COMPARE[name](one["created"], value) for name, value in wanted.items())


def position(found: list[Object], kind: str, given: dict[str, Any], param: str) -> int:
    for index, one in enumerate(found):
        if one["id"] == given[param]:
            return index
    raise NoSuchObjectError(kind, given[param], param, status=400)
