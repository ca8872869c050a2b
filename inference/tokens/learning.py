"""What settled calls teach about estimates: arithmetic alone, no store.

A settled call tells how many tokens its prompt really had. Its score says where that lies
between what was estimated before any correction: 0 is the likely count, 1 is a whole margin
above it. Scores are kept by cell (AI model, script, size), by tenant and by hours, as counts of
narrow bins; a cell's correction says which scores to expect from now on.

No tenant can move a correction for the others by itself:

- However many calls it makes, it weighs no more than MOST_WEIGHT of them.
- Bounds are lowered only on the word of several tenants, none of whose highest scores are lost
  among the many of one.
- Beyond one margin above the likely count, bounds are raised only by as much as the other
  tenants' scores bear out.
"""

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from math import ceil
from statistics import median_low

# (AI model, script, size).
Cell = tuple[str, str, int]
# Bin → calls. A score in bin b is at most b * BIN.
Scores = Mapping[int, float]

BIN = 0.02
# A margin is at least this part of the likely count, so that corrections can go somewhere.
LEAST_MARGIN = 0.25
# What a cell's size ends at, in likely tokens; the last has no end.
SIZES = (64, 256, 2_048)
# How far scores are believed: four times the likely count, where margins are narrow.
LOWEST, HIGHEST = -4.0, 12.0

# Of all calls, how many the bound must cover: a little more than is promised.
COVERED = 0.9995
# On top of the score that covers them; twice that where calls are few.
GUARD = 0.08
MOST_WEIGHT = 500
# Before a bound is lowered.
LEAST_WEIGHT = 600
LEAST_TENANTS = 3
# How far scores of one tenant alone may raise a bound.
ALONE = 1.0


@dataclass(frozen=True, slots=True)
class Correction:
    """Scores to expect: likely, and at most. may_lower: whether to believe less than before."""

    likely: float
    most: float
    may_lower: bool


def margin_of(*, likely: float, most: float) -> float:
    """What a score of 1 stands for, in tokens."""
    return max(most - likely, LEAST_MARGIN * likely, 1.0)


def cell_of(*, model: str, script: str, likely: int) -> Cell:
    return model, script, sum(likely >= end for end in SIZES)


def bin_of(*, real: int, likely: int, most: int) -> int:
    """The bin of a call's score."""
    score = (real - likely) / margin_of(likely=likely, most=most)
    return ceil(round(min(HIGHEST, max(LOWEST, score)) / BIN, 6))


def correction_from(scores_by_tenant: Mapping[str, Scores]) -> Correction | None:
    """What a cell's scores say. None: nothing."""
    tenants = [weighed(scores) for scores in scores_by_tenant.values() if scores]
    if not tenants:
        return None
    everyone = merged(tenants)
    weight = sum(everyone.values())
    guard = GUARD * (1 + min(1.0, LEAST_WEIGHT / weight))
    most = quantile(everyone, COVERED) + guard
    if most > ALONE:
        borne_out = ALONE
        if len(tenants) > 1:
            borne_out = min(quantile(without(everyone, one), COVERED) for one in tenants) + guard
        most = min(most, max(ALONE, borne_out))
    return Correction(
        # A vote for each: half of the calls may be one tenant's.
        likely=median_low(quantile(scores, 0.5) for scores in tenants),
        most=most,
        may_lower=len(tenants) >= LEAST_TENANTS and weight >= LEAST_WEIGHT,
    )


def weighed(scores: Scores) -> Scores:
    """A tenant's scores, weighing no more than MOST_WEIGHT calls together."""
    weight = min(1.0, MOST_WEIGHT / sum(scores.values()))
    return {bin_: count * weight for bin_, count in scores.items()}


def merged(tenants: Iterable[Scores]) -> Counter[int]:
    total: Counter[int] = Counter()
    for scores in tenants:
        total.update(scores)
    return total


def without(everyone: Scores, one: Scores) -> Scores:
    rest = {bin_: weight - one.get(bin_, 0.0) for bin_, weight in everyone.items()}
    # What rounding leaves of nothing is no evidence.
    return {bin_: weight for bin_, weight in rest.items() if weight > 1e-9}


def quantile(scores: Scores, share: float) -> float:
    """The score that this share of the weight is not above. The highest, of few calls.

    scores: not empty.
    """
    left = (1 - share) * sum(scores.values())
    bins = sorted(scores, reverse=True)
    for bin_ in bins:
        left -= scores[bin_]
        if left < 0:
            return bin_ * BIN
    return bins[-1] * BIN
