"""Query parameters of the account's endpoints. All raise InvalidRequestError, naming the field."""

from collections.abc import Iterable, Mapping
from datetime import UTC, datetime

from agentflare.errors import InvalidRequestError


def invalid(param: str, takes: str) -> InvalidRequestError:
    return InvalidRequestError(
        f"Invalid value for '{param}': it takes {takes}.", param=param, code="invalid_value"
    )


def choice(text: str, choices: Iterable[str], *, param: str) -> str:
    choices = list(choices)
    if text not in choices:
        raise invalid(param, " or ".join(choices))
    return text


def moment(query: Mapping[str, str], param: str) -> datetime | None:
    """Seconds since 1970."""
    text = query.get(param)
    if not text:
        return None
    if not (text.isascii() and text.isdecimal() and len(text) <= 10):
        raise invalid(param, "whole seconds since 1970")
    return datetime.fromtimestamp(int(text), UTC)


def page_size(query: Mapping[str, str], *, default: int, most: int) -> int:
    text = query.get("limit")
    if text is None:
        return default
    if not (text.isascii() and text.isdecimal() and 1 <= int(text[:9]) <= most):
        raise invalid("limit", f"1 to {most}")
    return int(text)
