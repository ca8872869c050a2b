"""Sentiment: a plain word list, in place of a model."""

import re

from sandbox.workers_ai.fields import Fields
from sandbox.workers_ai.one_piece import RULES_FINGERPRINT, Call, Outcome
from sandbox.workers_ai.script import without_directive

TOKENS_PER_TEXT = 2

GOOD_WORDS = "amazing beautiful best excellent glad good great happy love nice perfect"
BAD_WORDS = "angry awful bad boring broken hate horrible poor sad terrible ugly worst"
GOOD = frozenset(GOOD_WORDS.split())
BAD = frozenset(BAD_WORDS.split())


async def classify_text(call: Call) -> Outcome:
    """`text` of a directive names the label that wins."""
    fields = Fields(call.body.fields)
    text = fields.text("text")
    fields.refuse_wrong()
    tokens = call.input_tokens(await call.count_tokens([text]) + TOKENS_PER_TEXT)
    positive = 0.9998 if call.directive.text == "POSITIVE" else mood(without_directive(text))
    positive = 0.0002 if call.directive.text == "NEGATIVE" else positive
    result = [
        {"label": "NEGATIVE", "score": round(1 - positive, 4)},
        {"label": "POSITIVE", "score": positive},
    ]
    neurons = call.neurons({"input_tokens": tokens})
    return Outcome(source=RULES_FINGERPRINT, result=result, neurons=neurons)


def mood(text: str) -> float:
    """How good it sounds, from 0.1 to 0.9; 0.5 if no word of the list is in it."""
    words = re.findall(r"\w+", text.lower())
    balance = sum(word in GOOD for word in words) - sum(word in BAD for word in words)
    return 0.5 + 0.1 * max(-4, min(4, balance))
