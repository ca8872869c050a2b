"""Calls made of samples: what a chat's prompt really is, and what the gateway would count.

What the gateway counts: all texts of the messages in one, the tools as JSON, the number of
messages. What it really is: the family's template, rendered and counted by its vocabulary.
"""

import random
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

from bench.estimates.samples import Sample, real_tokens
from bench.estimates.templates import Message, Template, count_prompt
from bench.estimates.tool_sets import TOOL_SETS, as_json
from inference.tokens.measures import EMPTY, TextMeasure, measure

_SYSTEMS = (
    "You are a helpful assistant. Answer briefly.",
    "You help customers of a bookshop. Be polite, and never make up a title.",
)
# One call in so many has tools.
_TOOLS_EVERY = 12


@dataclass(frozen=True)
class Call:
    sample: Sample
    messages: list[Message]
    tools: list[dict[str, Any]]
    text: TextMeasure
    tools_text: TextMeasure


@dataclass(frozen=True)
class Upstream:
    """An AI model: its vocabulary by splintr's name, and its template."""

    tokenizer: str
    template: Template

    def prompt_tokens(self, call: Call) -> int:
        def count(text: str) -> int:
            return real_tokens(self.tokenizer, text)

        return count_prompt(self.template, count, call.messages, call.tools)


def as_calls(samples: Iterable[Sample], *, seed: int = 3) -> Iterator[Call]:
    """A third with one message, a third with a system message, a third of several turns."""
    random_ = random.Random(seed)
    for sample in samples:
        messages = [("user", sample.text)]
        form = random_.randrange(3)
        if form == 1:
            messages.insert(0, ("system", random_.choice(_SYSTEMS)))
        elif form == 2 and sample.chars >= 500:
            messages = as_turns(sample.text, turns=random_.choice((3, 5, 9)))
        tools = [] if random_.randrange(_TOOLS_EVERY) else random_.choice(TOOL_SETS)
        yield Call(
            sample,
            messages,
            tools,
            measure("\n".join(text for _, text in messages)),
            measure(as_json(tools)) if tools else EMPTY,
        )


def as_turns(text: str, *, turns: int) -> list[Message]:
    size = len(text) // turns + 1
    parts = [text[i : i + size] for i in range(0, len(text), size)]
    return [("user" if i % 2 == 0 else "assistant", part) for i, part in enumerate(parts)]
