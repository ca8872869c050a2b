"""What the models of answers have in common. They are for the document and its tests: the
endpoints themselves write plain dicts, which is far faster."""

from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, StringConstraints

# A field that some answers leave out. Its type says what it is where it is there.
SOMETIMES: Any = Field(default=None)

Usd = Annotated[str, StringConstraints(pattern=r"^-?[0-9]+\.[0-9]{9}$")]


class Answer(BaseModel):
    model_config = ConfigDict(use_attribute_docstrings=True)


class Money(Answer):
    """What the call cost, as decimal dollars in strings: JavaScript loses large numbers."""

    estimated_cost: Usd
    """The most the call could cost, which was held before it."""
    request_cost: Usd
    """What it did cost."""
    balance_remaining: Usd | None
    """What is available for the next call; null where it cannot be read at the moment."""
