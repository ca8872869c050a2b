"""Embeddings without a model: unit vectors made from hashes of a text's words.

The same text gives the same vector, texts that share words are near to each other, and that is
all they are good for.
"""

import math
import operator
import re
from array import array
from collections import Counter
from functools import lru_cache
from hashlib import shake_256

WORD = re.compile(r"\w+")

# How much of a vector is the text as a whole: it tells "a b" from "b a".
WHOLE_TEXT_WEIGHT = 0.1


def hashed_vector(text: str, dimensions: int) -> list[float]:
    """A unit vector; deterministic."""
    total = [WHOLE_TEXT_WEIGHT * value for value in direction(text, dimensions)]
    for word, times in Counter(WORD.findall(text.lower())).items():
        pointed = (times * value for value in direction(word, dimensions))
        total = list(map(operator.add, total, pointed))
    return normalised(total)


@lru_cache(maxsize=4_096)
def direction(word: str, dimensions: int) -> "array[float]":
    """Where a word points: a unit vector of its own, across to nearly all others."""
    digest = array("h", shake_256(word.encode()).digest(2 * dimensions))
    length = math.sqrt(sum(value * value for value in digest)) or 1
    return array("d", (value / length for value in digest))


def widened(vector: list[float], dimensions: int) -> list[float]:
    """A vector of another width: repeated until it fits, cut there, and of length 1 again.

    Repeated in whole it keeps its angles to the others exactly, cut it keeps them nearly.
    """
    times = -(-dimensions // len(vector))
    return normalised((vector * times)[:dimensions])


def normalised(vector: list[float]) -> list[float]:
    length = math.sqrt(sum(value * value for value in vector)) or 1
    return [round(value / length, 8) for value in vector]


def cosine(one: list[float], other: list[float]) -> float:
    """Of two unit vectors."""
    return float(sum(map(operator.mul, one, other)))
