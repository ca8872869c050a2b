"""Texts of several lengths from every source, with what the vocabularies make of them."""

import random
from dataclasses import dataclass
from functools import cache

import splintr

from bench.estimates.corpus import sources, words
from bench.estimates.templates import VOCABULARIES
from inference.tokens.measures import TextMeasure, measure

# In characters; the first two are about five words, and one sentence.
LENGTHS = (30, 120, 500, 2_000, 20_000)
# What learning is measured with: enough calls of these to learn from.
LEARNED_KINDS = words(
    "english latin cyrillic arabic devanagari han kana hangul thai code json mixed"
)


@dataclass(frozen=True)
class Sample:
    name: str
    kind: str
    is_ordinary: bool
    chars: int
    text: str
    measure: TextMeasure


def samples(half: int, *, per_length: int, seed: int = 1) -> list[Sample]:
    """per_length: texts of each length from each source; of the longest ones, fewer."""
    random_ = random.Random(seed)
    found = []
    for source in sources().values():
        for chars in LENGTHS:
            for _ in range(per_length if chars < 20_000 else max(1, per_length // 6)):
                text = source.sample(half, chars=chars, random_=random_)
                measured = measure(text)
                if measured.tokens:
                    found.append(
                        Sample(source.name, source.kind, source.is_ordinary, chars, text, measured)
                    )
    return found


def balanced(half: int, *, per_kind: int, seed: int) -> list[Sample]:
    """So many texts of each of LEARNED_KINDS, short ones more often than long ones."""
    random_ = random.Random(seed)
    found = []
    for kind in LEARNED_KINDS:
        of_kind = [source for source in sources().values() if source.kind == kind]
        for _ in range(per_kind):
            source = random_.choice(of_kind)
            chars = random_.choices(LENGTHS, weights=(8, 8, 8, 5, 1))[0]
            text = source.sample(half, chars=chars, random_=random_)
            if measured := measure(text):
                found.append(Sample(source.name, kind, True, chars, text, measured))
    return found


@cache
def tokenizer(name: str) -> splintr.Tokenizer:
    return splintr.Tokenizer.from_pretrained(name)


def real_tokens(name: str, text: str) -> int:
    """By splintr's vocabulary of that name."""
    return len(tokenizer(name).encode_ordinary(text)) if text else 0


def variants(vocabulary: str) -> list[str]:
    return VOCABULARIES[vocabulary]
