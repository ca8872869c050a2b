"""Makes `inference/tokens/data/factors.json`: start values, from the TRAIN half alone.

Means: least squares of real tokens over the counts of each kind of token, kept within bounds.
Margins: by script, so wide that they cover the half but for a thousandth of its short texts,
wider where little text was seen. Templates and tools: from the templates themselves.
"""

import json
from dataclasses import dataclass
from functools import cache
from math import ceil, sqrt
from typing import Any

from bench.estimates.corpus import TRAIN, sources, words
from bench.estimates.samples import Sample, real_tokens, samples, variants
from bench.estimates.templates import TEMPLATES, VOCABULARIES, Template, count_prompt
from bench.estimates.tool_sets import TOOL_SETS, as_json
from inference.tokens.factors import DATA_FILE, as_vocabulary
from inference.tokens.kinds import ASCII_KINDS, KINDS, SCRIPTS_OF_TEXTS
from inference.tokens.measures import measure
from inference.tokens.ranges import text_range

# No token of o200k is less or more than this in another vocabulary, on average.
_LEAST, _MOST = 0.2, 10.0
# How hard a kind that is seldom seen is drawn to what the vocabulary takes on the whole.
_PULL = 3.0
# How far a whole text may be off, for weighing long texts against short ones.
_WANDER = 0.1
# What most calls are made of counts more for the means; margins cover everything alike.
_WEIGHTS = dict.fromkeys(["english", "code", "json"], 12.0) | dict.fromkeys(
    words("de fr es pt_BR it nl pl tr ru uk ar zh_Hans ja ko hi"), 3.0
)
# On top of the widest miss in the half: the other half, and the world, have wider ones.
_SAFETY = 1.2
# On top of that for a script of which one kilobyte was seen; half of it for four.
_OF_THE_UNSEEN = 0.12
# Of the texts of a script; the promise is 0.999 on those not seen.
_COVERED = 0.999
# What upstream's own template may have beyond the published one.
_UNSEEN_PREAMBLE, _LEAST_MESSAGE = 2, 3
_COUNTED_BY = "o200k_base"
# Other tools than those measured have more punctuation for their words.
_OTHER_TOOLS = 1.05
SPECIAL = {"english", "code"}
_LEAST_WANDER, _LEAST_NOISE = 0.03, 0.4


@dataclass
class Fit:
    """english: means of ASCII kinds in English and in code."""

    vocabulary: str
    mean: list[float]
    english: list[float]
    margins: dict[str, dict[str, float]]

    def as_row(self) -> dict[str, Any]:
        return {
            "mean": by_kind(self.mean),
            "mean_english": {kind: by_kind(self.english)[kind] for kind in ASCII_KINDS},
            "margins": {
                script: {name: round(x, 3) for name, x in margin.items()}
                for script, margin in self.margins.items()
            },
        }


def by_kind(values: list[float]) -> dict[str, float]:
    return {kind: round(x, 3) for kind, x in zip(KINDS, values, strict=True)}


def same_margins(*, wander: float, noise: float) -> dict[str, dict[str, float]]:
    return {script: {"wander": wander, "noise": noise} for script in SCRIPTS_OF_TEXTS}


def write_factors(*, per_length: int = 24) -> dict[str, Any]:
    """Measure all vocabularies and write the file. Returns what was written."""
    found = samples(TRAIN, per_length=per_length)
    # Not these alone: many more of the short ones, which vary most.
    short = [s for s in samples(TRAIN, per_length=per_length * 4, seed=2) if s.chars <= 500]
    written = {
        "vocabularies": {
            name: fit_vocabulary(name, found, short).as_row() for name in VOCABULARIES
        },
        "templates": {name: overheads(templates) for name, templates in TEMPLATES.items()},
    }
    DATA_FILE.write_text(json.dumps(written, indent=1) + "\n")
    return written


def fit_vocabulary(vocabulary: str, found: list[Sample], short: list[Sample]) -> Fit:
    if vocabulary == "o200k":
        ones = [1.0] * len(KINDS)
        return Fit(vocabulary, ones, ones, same_margins(wander=0, noise=0))
    names = variants(vocabulary)
    counted = [(s, real_tokens(name, s.text)) for name in names for s in found]
    special = [(s, real) for s, real in counted if s.measure.script in SPECIAL]
    general = [(s, real) for s, real in counted if s.measure.script not in SPECIAL]
    fit = Fit(vocabulary, fit_means(general), fit_means(special), same_margins(wander=0, noise=0))
    counted += [(s, real_tokens(name, s.text)) for name in names for s in short]
    fit.margins = fit_margins(fit, counted)
    return fit


def fit_means(counted: list[tuple[Sample, int]]) -> list[float]:
    """Bounded least squares, by coordinate descent on the normal equations."""
    size = len(KINDS)
    overall = sum(real for _, real in counted) / sum(s.measure.tokens for s, _ in counted)
    left = [[_PULL * (i == j) for j in range(size)] for i in range(size)]
    right = [_PULL * overall] * size
    for sample, real in counted:
        tokens = sample.measure.tokens
        weight = _WEIGHTS.get(sample.name, 1.0) / (tokens + (_WANDER * tokens) ** 2)
        for i, n in sample.measure.kinds:
            right[i] += weight * n * real
            row = left[i]
            for j, m in sample.measure.kinds:
                row[j] += weight * n * m
    means = [overall] * size
    for _ in range(300):
        for i, row in enumerate(left):
            rest = right[i] - sum(map(float.__mul__, row, means)) + row[i] * means[i]
            means[i] = min(_MOST, max(_LEAST, rest / row[i]))
    return means


def fit_margins(fit: Fit, counted: list[tuple[Sample, int]]) -> dict[str, dict[str, float]]:
    """By script: first what long texts need, then what short ones need beyond it."""
    margins = same_margins(wander=_LEAST_WANDER, noise=_LEAST_NOISE)
    seen = seen_kilobytes()
    vocabulary = as_vocabulary(fit.as_row())
    misses = [
        (s.measure.script, s.chars, likely, real - likely)
        for s, real in counted
        if (likely := text_range(s.measure, vocabulary).likely)
    ]
    for script, chars, likely, miss in misses:
        if chars >= 2_000:
            margin = margins[script]
            margin["wander"] = max(margin["wander"], _SAFETY * miss / likely)
    for script, margin in margins.items():
        # The less was seen, the less is known of what was not.
        margin["wander"] += _OF_THE_UNSEEN / sqrt(max(1, seen.get(script, 0)))
    beyond: dict[str, list[float]] = {}
    for script, _, likely, miss in misses:
        more = (miss - margins[script]["wander"] * likely) / sqrt(likely)
        beyond.setdefault(script, []).append(more)
    for script, values in beyond.items():
        worst = sorted(values)[ceil(len(values) * _COVERED) - 1]
        margins[script]["noise"] = max(_LEAST_NOISE, worst)
    return margins


@cache
def seen_kilobytes() -> dict[str, float]:
    """How much text there is to measure by, by script."""
    seen: dict[str, float] = {}
    for source in sources().values():
        for piece in source.halves[TRAIN]:
            script = measure(piece).script
            seen[script] = seen.get(script, 0) + len(piece) / 1000
    return seen


# --- templates and tools ----------------------------------------------------------


def overheads(templates: list[Template]) -> dict[str, Any]:
    """What templates and tools add: the likeliest template's, and the most of any.

    Counted by one vocabulary for all: templates are English and code.
    """
    lines = [template_line(template, _COUNTED_BY) for template in templates]
    tools = [tools_line(template, _COUNTED_BY) for template in templates]
    most = {
        "preamble": max(line[0] for line in lines) + _UNSEEN_PREAMBLE,
        "with_system": max(line[1] for line in lines) + _UNSEEN_PREAMBLE,
        "message": max(_LEAST_MESSAGE, *(line[2] for line in lines)),
    }
    most_tools = {
        "preamble": max(preamble for preamble, _ in tools),
        "factor": round(max(1.0, *(factor * _OTHER_TOOLS for _, factor in tools)), 2),
    }
    return {
        "likely": dict(zip(("preamble", "with_system", "message"), lines[0], strict=True)),
        "most": most,
        "likely_tools": {"preamble": tools[0][0], "factor": tools[0][1]},
        "most_tools": most_tools,
    }


def template_line(template: Template, name: str) -> tuple[int, int, float]:
    """Tokens of the preamble, without and with a system message, and of each message.

    For texts of no length; the system message is counted among the messages.
    """

    def count(messages: int) -> int:
        turns = [("user", ""), ("assistant", "")] * 5
        return count_prompt(template, lambda text: real_tokens(name, text), turns[:messages], [])

    # Of one token, since templates leave out an empty one.
    with_system = [("system", "x"), ("user", "")]
    system = count_prompt(template, lambda text: real_tokens(name, text), with_system, []) - 1
    message = (count(10) - count(2)) / 8
    return ceil(count(1) - message), ceil(max(0, system - 2 * message)), message


def tools_line(template: Template, name: str) -> tuple[int, float]:
    """Tokens of the rules, and of each token of the tools as compact JSON."""

    def added(tools: list[dict[str, Any]]) -> int:
        def count(tools: list[dict[str, Any]]) -> int:
            messages = [("user", "x")]
            return count_prompt(template, lambda text: real_tokens(name, text), messages, tools)

        return count(tools) - count([])

    def compact(tools: list[dict[str, Any]]) -> int:
        return real_tokens(name, as_json(tools))

    few, many = TOOL_SETS[0], [tool for tools in TOOL_SETS for tool in tools]
    factor = (added(many) - added(few)) / (compact(many) - compact(few))
    return round(max(added(few) - factor * compact(few), 0)), round(factor, 2)
