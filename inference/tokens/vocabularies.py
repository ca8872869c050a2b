"""tiktoken's vocabularies, from the files in `data/`.

They are OpenAI's `o200k_base.tiktoken` and `cl100k_base.tiktoken` (MIT), under the names that
tiktoken's cache gives them; tiktoken checks their hashes.
"""

import os
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path

import tiktoken

from agentflare.concurrency import off_loop
from inference.tokens.kinds import kinds_by_token

_DATA = Path(__file__).parent / "data"
# Counting this much text takes under 2 ms; more of it would hold up other requests.
_OFF_LOOP_CHARS = 16_000
# tiktoken's time grows faster than the text where there are no spaces in it.
_SLICE_CHARS = 50_000


@cache
def o200k() -> tiktoken.Encoding:
    return _load("o200k_base")


@cache
def cl100k() -> tiktoken.Encoding:
    """Only for token numbers that clients send; it takes a third of a second to load."""
    return off_loop(lambda: _load("cl100k_base"))


@cache
def kinds_table() -> bytes:
    """For each of o200k's tokens its kind: see kinds."""
    return kinds_by_token(o200k())


def warm_up() -> None:
    """Load what takes half a second before the first request."""
    kinds_table()


def encode(text: str) -> list[int]:
    """o200k's numbers. Long texts are cut into slices, which may add a token for each."""
    if len(text) <= _OFF_LOOP_CHARS:
        return o200k().encode_ordinary(text)
    return [token for part in _slices(text) for token in off_loop(_encoder(part))]


def _encoder(part: str) -> Callable[[], list[int]]:
    encoding = o200k()
    return lambda: encoding.encode_ordinary(part)


def _slices(text: str) -> Iterator[str]:
    for i in range(0, len(text), _SLICE_CHARS):
        yield text[i : i + _SLICE_CHARS]


def _load(name: str) -> tiktoken.Encoding:
    os.environ["TIKTOKEN_CACHE_DIR"] = str(_DATA)
    encoding = tiktoken.get_encoding(name)
    # Python's copy of the vocabulary, 28 MB in each process, which only pickling would read.
    encoding._mergeable_ranks.clear()
    return encoding
