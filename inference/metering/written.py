"""Counting what a model has written, where upstream does not tell or cannot be believed."""

from inference.tokens.counting import count_tokens
from inference.upstreams.failures import UpstreamCallError

# No token of a model is longer, in characters, on the average of a text.
LONGEST_TOKEN = 32
_SOME_TOKENS = 1000


def most_believable(cap: int) -> int:
    """Beyond it an answer has no end. Pieces are counted mostly, so there may be some more than
    the tokens that were asked for."""
    return 2 * cap + _SOME_TOKENS


def count_written(text: str, *, cap: int) -> int:
    """Its tokens. Raises UpstreamCallError for a text that is far longer than the cap allows:
    counting it alone would keep a process busy for a minute."""
    check_length(text, cap=cap)
    return count_tokens(text)


def check_length(text: str, *, cap: int) -> None:
    """Raises UpstreamCallError."""
    if len(text) > most_believable(cap) * LONGEST_TOKEN:
        raise UpstreamCallError.broken("far more came than was asked for")
