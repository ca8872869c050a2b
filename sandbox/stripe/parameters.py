"""A call's parameters, held against the types that the `stripe` package gives them.

The package is generated from Stripe's own description of the pinned version: names, types,
what is required and which words are allowed come from there, and not from us.
"""

import importlib
import sys
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from decimal import Decimal, InvalidOperation
from functools import cache
from typing import Any, ForwardRef, Literal, NotRequired, Union, get_args, get_origin

from stripe import RequestOptions
from typing_extensions import is_typeddict

from sandbox.stripe.errors import NotServedError, ParameterError
from sandbox.stripe.forms import Form

# Of the client, not of the call: the package's types inherit them.
OPTIONS = frozenset(RequestOptions.__annotations__)


# Of the allowed ones, in a refusal: there are lists of hundreds.
MAX_WORDS_SHOWN = 20

# Texts that may be emptied. The package's types do not tell: to them it is a text as any.
UNSETTABLE = frozenset(
    (
        *("name", "email", "phone", "description", "footer", "receipt_email"),
        *("line1", "line2", "city", "postal_code", "state", "country"),
        "default_payment_method",
    )
)


@dataclass(frozen=True)
class Parameters:
    """Of one call.

    model: class of the package, by its name below `stripe.params`.
    serves: what the stand-in acts on, nested names with dots. A name stands for all that
        is below it. What Stripe knows and we do not serve is refused: a test must not
        pass because a wish was silently forgotten.
    """

    model: str
    serves: frozenset[str]

    def read(self, form: Form) -> dict[str, Any]:
        """Python values by name. Raises ParameterError or NotServedError."""
        return read_fields(form, model_class(self.model), path=(), serves=self.serves)


def parameters(model: str, serves: str = "") -> Parameters:
    """serves: names with blanks between them; `expand` always is."""
    return Parameters(model, frozenset({*serves.split(), "expand"}))


@cache
def model_class(name: str) -> Any:
    module_name, _, class_name = name.rpartition(".")
    module = importlib.import_module(".".join(filter(None, ("stripe.params", module_name))))
    return getattr(module, class_name)


@cache
def fields_of(model: Any) -> dict[str, Any]:
    return {
        name: resolved(annotation, model.__module__)
        for name, annotation in model.__annotations__.items()
        if name not in OPTIONS
    }


def resolved(annotation: Any, module: str) -> Any:
    """Without NotRequired, and names given as text looked up."""
    while True:
        if isinstance(annotation, ForwardRef):
            annotation = annotation.__forward_arg__
        if isinstance(annotation, str):
            # Quoted from a package that we pin, in its own module's terms.
            annotation = eval(annotation, vars(sys.modules[module]))
        elif get_origin(annotation) is NotRequired:
            annotation = get_args(annotation)[0]
        else:
            return annotation


def choices(annotation: Any, module: str) -> list[Any]:
    """The members of a union; of anything else, itself."""
    annotation = resolved(annotation, module)
    origin = get_origin(annotation)
    if origin is Union or type(annotation).__name__ == "UnionType":
        return [one for part in get_args(annotation) for one in choices(part, module)]
    return [annotation]


def label(path: Collection[str]) -> str:
    first, *rest = path
    return first + "".join(f"[{part}]" for part in rest)


def is_served(path: tuple[str, ...], serves: Collection[str]) -> bool:
    name = ".".join(part for part in path if not part.isdigit())
    return any(
        name == one or name.startswith(f"{one}.") or one.startswith(f"{name}.") for one in serves
    )


def read_fields(
    form: Mapping[str, Any], model: Any, *, path: tuple[str, ...], serves: frozenset[str]
) -> dict[str, Any]:
    known = fields_of(model)
    values = {}
    for name, value in form.items():
        here = (*path, name)
        if name not in known:
            raise ParameterError(
                f"Received unknown parameter: {label(here)}",
                code="parameter_unknown",
                param=label(here),
            )
        if not is_served(here, serves):
            raise NotServedError(f"the parameter {label(here)}", param=label(here))
        values[name] = read_value(value, known[name], model.__module__, here, serves)
    for name in sorted(model.__required_keys__ - OPTIONS - form.keys()):
        here = (*path, name)
        raise ParameterError(
            f"Missing required param: {label(here)}.",
            code="parameter_missing",
            param=label(here),
        )
    return values


def read_value(
    value: Any, annotation: Any, module: str, path: tuple[str, ...], serves: frozenset[str]
) -> Any:
    members = choices(annotation, module)
    if isinstance(value, dict):
        return read_nested(value, members, module, path, serves)
    words = {word for one in members if get_origin(one) is Literal for word in get_args(one)}
    if value == "":
        if "" in words or (path[-1] in UNSETTABLE and str in members):
            return ""
        raise ParameterError(
            f"You passed an empty string for '{label(path)}'. We assume empty values are an "
            f"attempt to unset a parameter; however '{label(path)}' cannot be unset. You should "
            f"remove '{label(path)}' from your request or supply a non-empty value.",
            code="parameter_invalid_empty",
            param=label(path),
        )
    words -= {""}
    if value in words:
        return value
    for kind, read in SCALARS.items():
        if kind in members and not (kind is str and words - {"now"}):
            return read(value, path)
    if words:
        allowed = ", ".join(sorted(words)[:MAX_WORDS_SHOWN])
        allowed += ", …" if len(words) > MAX_WORDS_SHOWN else ""
        raise ParameterError(f"Invalid {label(path)}: must be one of {allowed}", param=label(path))
    wanted = "array" if any(get_origin(one) is list for one in members) else "object"
    raise ParameterError(f"Invalid {wanted}", param=label(path))


def read_nested(
    value: dict[str, Any],
    members: list[Any],
    module: str,
    path: tuple[str, ...],
    serves: frozenset[str],
) -> Any:
    is_numbered = all(name.isdigit() for name in value)
    for one in members:
        origin = get_origin(one)
        if origin is list and is_numbered:
            item = get_args(one)[0]
            ordered = sorted(value.items(), key=lambda pair: int(pair[0]))
            return [read_value(v, item, module, (*path, k), serves) for k, v in ordered]
        if is_typeddict(one):
            return read_fields(value, one, path=path, serves=serves)
        if origin is dict or "UntypedStripeObject" in str(one):
            return {k: read_text(v, (*path, k)) for k, v in value.items()}
    raise ParameterError(f"Invalid string: {value}", param=label(path))


def read_int(value: str, path: tuple[str, ...]) -> int:
    digits = value.removeprefix("-")
    if not (digits.isascii() and digits.isdigit()) or len(digits) > 15:
        raise ParameterError(
            f"Invalid integer: {value}", code="parameter_invalid_integer", param=label(path)
        )
    return int(value)


def read_bool(value: str, path: tuple[str, ...]) -> bool:
    if value not in ("true", "false"):
        raise ParameterError(f"Invalid boolean: {value}", param=label(path))
    return value == "true"


def read_decimal(value: str, path: tuple[str, ...]) -> str:
    try:
        Decimal(value)
    except InvalidOperation:
        raise ParameterError(f"Invalid decimal: {value}", param=label(path)) from None
    return value


def read_text(value: Any, path: tuple[str, ...]) -> str:
    if not isinstance(value, str):
        raise ParameterError(f"Invalid string: {value}", param=label(path))
    return value


SCALARS: dict[Any, Any] = {
    bool: read_bool,
    int: read_int,
    Decimal: read_decimal,
    float: read_decimal,
    str: read_text,
}
