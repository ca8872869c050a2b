"""How many tokens a prompt likely is for a model, and at most: what callers ask.

Start values (see ranges), moved by what settled calls have shown of the model (see learning).
"""

from inference.tokens.factors import factors_of
from inference.tokens.learning import cell_of
from inference.tokens.measures import EMPTY, TextMeasure
from inference.tokens.ranges import TokenBound, corrected, start_bound
from inference.tokens.selectors import correction


def token_bound(
    text: TextMeasure,
    *,
    model: str,
    vocabulary: str,
    messages: int = 0,
    has_system: bool = False,
    tools: TextMeasure = EMPTY,
) -> TokenBound:
    """The tokens of a prompt. Takes some 10 µs, and never waits for a store.

    text: of all messages. model: the AI model's name. messages: how many; 0 is a bare text,
        without a chat template. has_system: whether one of them is a system message.
    tools: of the tools as compact JSON, which are not in `text`.
    """
    bound = start_bound(
        text,
        factors_of(model, vocabulary),
        messages=messages,
        has_system=has_system,
        tools=tools,
    )
    learned = correction(cell_of(model=model, script=text.script, likely=bound.likely))
    return bound if learned is None else corrected(bound, learned, text)
