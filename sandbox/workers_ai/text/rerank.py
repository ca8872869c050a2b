"""Reranking: by the words that query and context share, in place of a model."""

import re

from sandbox.workers_ai.fields import Fields
from sandbox.workers_ai.one_piece import RULES_FINGERPRINT, Call, Outcome
from sandbox.workers_ai.script import without_directive
from sandbox.workers_ai.text.embeddings import ranked

# Query and context go in together, with marks around and between them.
TOKENS_PER_PAIR = 4

WORD = re.compile(r"\w+")


async def rerank(call: Call) -> Outcome:
    fields = Fields(call.body.fields)
    query = fields.text("query")
    contexts = fields.contexts()
    top_k = fields.whole("top_k", 1, 1_000_000, default=len(contexts))
    fields.refuse_wrong()

    pairs = [text for context in contexts for text in (query, context)]
    counted = await call.count_tokens(pairs) + TOKENS_PER_PAIR * len(contexts)
    neurons = call.neurons({"input_tokens": call.input_tokens(counted)})
    wanted = words(query)
    scores = [overlap(wanted, words(context)) for context in contexts]
    result = {"response": ranked(scores)[:top_k]}
    return Outcome(source=RULES_FINGERPRINT, result=result, neurons=neurons)


def words(text: str) -> set[str]:
    return set(WORD.findall(without_directive(text).lower()))


def overlap(query: set[str], context: set[str]) -> float:
    """From 0.01 for nothing in common to 0.99 for every word of the query."""
    share = len(query & context) / len(query) if query else 0
    # Of two contexts with the same words of the query, the shorter is the better.
    brevity = 1 / (1 + len(context))
    return 0.01 + 0.93 * share + 0.05 * brevity * bool(share)
