"""Postal addresses: the same six fields wherever Stripe has one."""

from typing import Any

FIELDS = ("city", "country", "line1", "line2", "postal_code", "state")


def address_of(given: dict[str, Any] | str | None, old: dict[str, Any] | None = None) -> Any:
    """All fields, those given over the old ones; none when it is unset."""
    if not isinstance(given, dict):
        return None if given == "" else old
    old = old or {}
    return {name: given.get(name, old.get(name)) or None for name in FIELDS}
