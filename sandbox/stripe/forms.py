"""Form bodies with Stripe's nested names: `line_items[0][price_data][currency]=usd`."""

import re
from collections.abc import Iterable
from typing import Any
from urllib.parse import parse_qsl

from sandbox.stripe.errors import ParameterError

NAME = re.compile(r"[^\[\]]+(\[[^\[\]]*\])*")

Form = dict[str, Any]


def read_form(text: str) -> Form:
    """Nested dictionaries of texts; lists are dictionaries with numbers for names.

    Whether `metadata[1]` is a list's item or a name is known only with the parameter's type.
    """
    form: Form = {}
    for name, value in pairs(text):
        if not NAME.fullmatch(name):
            raise ParameterError(f"Invalid parameter name: {name}", param=name)
        place = form
        first, *rest = re.findall(r"[^\[\]]+|(?<=\[)(?=\])", name)
        for part, following in zip([first, *rest], [*rest, None], strict=True):
            key = part or str(len(place))
            if following is None:
                place[key] = value
                break
            place = place.setdefault(key, {})
            if not isinstance(place, dict):
                raise ParameterError(f"Invalid parameter name: {name}", param=name)
    return form


def pairs(text: str) -> Iterable[tuple[str, str]]:
    return parse_qsl(text, keep_blank_values=True)
