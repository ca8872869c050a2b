"""What is done to an answer's events between upstream and the client."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from inference.chat.events import Event
from inference.chat.leaked_calls import recover_calls
from inference.chat.single_calls import first_call_only
from inference.chat.stops import stop_at
from inference.chat.thinking import split_thoughts


@dataclass(frozen=True, slots=True)
class Reading:
    """stops: where we cut, for models that cannot. splits_thoughts: reasoning stands inside the
    text. forced_functions: a call of one of these was forced. one_call: of several tool calls
    the first alone. asks_json: the model has no JSON mode, so its answer is checked against
    `schema`, or for being an object."""

    stops: list[str] = field(default_factory=list)
    splits_thoughts: bool = False
    forced_functions: frozenset[str] = frozenset()
    named_function: str | None = None
    one_call: bool = False
    asks_json: bool = False
    schema: dict[str, Any] | None = None

    def apply(self, events: Iterator[Event]) -> Iterator[Event]:
        """Thoughts and stops belong to native models, which answer one choice at a time."""
        if self.splits_thoughts:
            events = split_thoughts(events)
        if self.forced_functions:
            events = recover_calls(
                events, functions=set(self.forced_functions), named=self.named_function
            )
        if self.one_call:
            events = first_call_only(events)
        if self.stops:
            events = stop_at(events, self.stops)
        return events
