"""Metadata: merged by name; an empty value takes a name away, an empty text all of them."""

from typing import Any

from sandbox.stripe.errors import InvalidRequestError

MAX_NAMES = 50
MAX_NAME_CHARACTERS = 40
MAX_VALUE_CHARACTERS = 500


def merged(old: dict[str, str], given: dict[str, str] | str | None) -> dict[str, str]:
    """Raises InvalidRequestError beyond Stripe's limits."""
    if given is None:
        return old
    if not isinstance(given, dict):
        return {}
    result = {name: value for name, value in {**old, **given}.items() if value != ""}
    if len(result) > MAX_NAMES:
        raise InvalidRequestError(
            f"Metadata can have at most {MAX_NAMES} keys. You passed {len(result)}.",
            param="metadata",
        )
    for name, value in given.items():
        if len(name) > MAX_NAME_CHARACTERS:
            raise too_long(f"keys can have up to {MAX_NAME_CHARACTERS}", name, len(name))
        if len(value) > MAX_VALUE_CHARACTERS:
            raise too_long(f"values can have up to {MAX_VALUE_CHARACTERS}", name, len(value))
    return result


def too_long(rule: str, name: str, length: int) -> InvalidRequestError:
    return InvalidRequestError(
        f"Metadata {rule} characters, but you passed in a value that is {length} characters.",
        param=f"metadata[{name}]",
    )


def take(target: dict[str, Any], given: dict[str, Any], *names: str) -> None:
    """Set the fields that were given; an empty text unsets."""
    for name in names:
        if name in given:
            target[name] = given[name] if given[name] != "" else None
