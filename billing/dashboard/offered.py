"""The names that a call may name. The catalogue knows them, and is above billing: it tells here."""

from collections.abc import Callable

_names: Callable[[], list[str]] = list


def tell_offered(names: Callable[[], list[str]]) -> None:
    """names: models and routes that are served now. Called once, when the process starts."""
    global _names
    _names = names


def offered_names() -> list[str]:
    return sorted(_names())
