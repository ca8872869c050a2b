"""Text of token numbers, which clients of embeddings and completions may send for a text."""

from collections.abc import Sequence

import tiktoken

from agentflare.concurrency import off_loop
from inference.tokens.vocabularies import cl100k, o200k

# Numbers of ordinary tokens; special ones are above and stand for no text.
_CL100K_TOKENS = 100_256
MAX_TOKEN = 199_997
_OFF_LOOP_TOKENS = 20_000


def decode_tokens(ids: Sequence[int]) -> str:
    """The text of OpenAI's token numbers: cl100k's where all fit it, else o200k's.

    OpenAI's embedding models use cl100k, and libraries that cut texts for them send its
    numbers. Bytes that are no UTF-8, as at a cut through a character, become U+FFFD.
    Raises ValueError for a number that neither vocabulary has.
    """
    if not ids:
        return ""
    if min(ids) < 0 or max(ids) > MAX_TOKEN:
        raise ValueError("not a token of cl100k_base or o200k_base")
    encoding = cl100k() if max(ids) < _CL100K_TOKENS else o200k()
    if len(ids) < _OFF_LOOP_TOKENS:
        return _decode(encoding, ids)
    return off_loop(lambda: _decode(encoding, ids))


def _decode(encoding: tiktoken.Encoding, ids: Sequence[int]) -> str:
    return encoding.decode_bytes(ids).decode(errors="replace")
