"""Whole numbers in JSON, which has one kind of number: 2.0 is 2, as JSON Schema has it too."""

from typing import Any

from pydantic import BeforeValidator


def whole_number(value: Any) -> Any:
    """An int for a float without a fraction; anything else as it is."""
    return int(value) if type(value) is float and value.is_integer() else value


def whole_numbers(values: Any) -> Any:
    """The same for a list."""
    if isinstance(values, list) and any(type(value) is float for value in values):
        return [whole_number(value) for value in values]
    return values


# For the ints of strict models, which would take 2 alone. After their limits: pydantic tells those
# that come behind it under other names in the schema.
WHOLE = BeforeValidator(whole_number)
