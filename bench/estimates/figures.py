"""The figures: how many prompts a bound covers, and how far above them it lies."""

import random
from collections import defaultdict
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from math import ceil

from bench.estimates.ai_models import MODELS, SURPRISES, UNKNOWN, Model
from bench.estimates.calls import Call, as_calls
from bench.estimates.corpus import TEST, TRAIN
from bench.estimates.samples import balanced, samples
from inference.tokens.factors import factors_of
from inference.tokens.learning import (
    Cell,
    Correction,
    bin_of,
    cell_of,
    correction_from,
)
from inference.tokens.ranges import TokenBound, corrected, start_bound

# How many tenants make the calls that are learned from.
_TENANTS = 6
WIDTHS = {30: "5 words", 120: "sentence", 500: "500 chars", 2_000: "2 kB", 20_000: "20 kB"}


@dataclass(frozen=True)
class Outcome:
    kind: str
    is_ordinary: bool
    chars: int
    bound: int
    real: int

    @property
    def ratio(self) -> float:
        return self.bound / self.real


@dataclass(frozen=True)
class Figures:
    """Of some outcomes. ratio: bound to real. above: the share that holds over 1.5 times, and
    by how many tokens more than those, for all but a twentieth of them."""

    calls: int
    covered: float
    missed: int
    worst_miss: float
    ratio_p50: float
    ratio_p95: float
    ratio_max: float
    above: float
    above_p95: int


def figures(outcomes: list[Outcome]) -> Figures:
    ratios = sorted(outcome.ratio for outcome in outcomes)
    beyond = [o.bound - 1.5 * o.real for o in outcomes if o.ratio > 1.5]
    missed = sum(ratio < 1 for ratio in ratios)
    return Figures(
        calls=len(ratios),
        covered=1 - missed / len(ratios),
        missed=missed,
        worst_miss=max(0.0, 1 / ratios[0] - 1),
        ratio_p50=at(ratios, 0.5),
        ratio_p95=at(ratios, 0.95),
        ratio_max=ratios[-1],
        above=sum(ratio > 1.5 for ratio in ratios) / len(ratios),
        above_p95=round(at(sorted(beyond), 0.95)) if beyond else 0,
    )


def at(ordered: list[float], share: float) -> float:
    return ordered[max(0, ceil(len(ordered) * share) - 1)]


Bounding = Callable[[Call], TokenBound]


def outcomes(calls: Iterable[Call], bounding: Bounding, model: Model) -> list[Outcome]:
    """Each call to one of the model's upstreams, by chance."""
    random_ = random.Random(4)
    found = []
    for call in calls:
        upstream = random_.choice(model.upstreams)
        sample = call.sample
        found.append(
            Outcome(
                sample.kind,
                sample.is_ordinary,
                sample.chars,
                bounding(call).most,
                upstream.prompt_tokens(call),
            )
        )
    return found


def by_start_values(model: Model) -> Bounding:
    factors = factors_of(model.name, model.vocabulary)
    return lambda call: start_bound(
        call.text,
        factors,
        messages=len(call.messages),
        has_system=call.messages[0][0] == "system",
        tools=call.tools_text,
    )


def measure_start_values(*, per_length: int) -> dict[str, list[Outcome]]:
    """By model: texts of the TEST half."""
    calls = list(as_calls(samples(TEST, per_length=per_length, seed=7)))
    return {
        model.label: outcomes(calls, by_start_values(model), model) for model in [*MODELS, UNKNOWN]
    }


# --- after learning -------------------------------------------------------------------


@dataclass(frozen=True)
class Learned:
    """cells: how many had enough calls to lower bounds."""

    model: str
    cells: int
    before: Figures
    after: Figures


def measure_learning(*, per_kind: int) -> list[Learned]:
    """Learn from calls with texts of the TRAIN half, then measure on the other."""
    lessons = list(as_calls(balanced(TRAIN, per_kind=per_kind, seed=11), seed=11))
    calls = list(as_calls(balanced(TEST, per_kind=per_kind // 4, seed=13), seed=13))
    return [learn_one(model, lessons, calls) for model in [*MODELS, *SURPRISES]]


def learn_one(model: Model, lessons: list[Call], calls: list[Call]) -> Learned:
    start = by_start_values(model)
    scores: dict[Cell, dict[str, dict[int, float]]] = defaultdict(lambda: defaultdict(dict))
    random_ = random.Random(5)
    for call in lessons:
        bound = start(call)
        cell = cell_of(model=model.name, script=call.text.script, likely=bound.likely)
        real = random_.choice(model.upstreams).prompt_tokens(call)
        bin_ = bin_of(real=real, likely=bound.likely, most=bound.most)
        mine = scores[cell][f"tenant {random_.randrange(_TENANTS)}"]
        mine[bin_] = mine.get(bin_, 0) + 1
    corrections = {cell: correction_from(by_tenant) for cell, by_tenant in scores.items()}
    before = outcomes(calls, start, model)
    after = outcomes(calls, by_corrections(model, start, corrections), model)
    lowered = sum(found is not None and found.may_lower for found in corrections.values())
    return Learned(model.label, lowered, figures(before), figures(after))


def by_corrections(
    model: Model, start: Bounding, corrections: dict[Cell, Correction | None]
) -> Bounding:
    def bounding(call: Call) -> TokenBound:
        bound = start(call)
        script = call.text.script
        found = corrections.get(cell_of(model=model.name, script=script, likely=bound.likely))
        return bound if found is None else corrected(bound, found, call.text)

    return bounding
