"""The range a prompt's tokens lie in, by start values and by a correction: arithmetic alone.

Likely: o200k's tokens of each kind, times what the model's vocabulary takes for one of them.
At most: a margin on top that grows with the text, by how far the script wanders, and with its
square root, for the chance that weighs on short texts. Around it what the chat template adds.
"""

from dataclasses import dataclass, replace
from math import ceil, sqrt
from typing import TypedDict

from inference.tokens.factors import Factors, Template, Vocabulary
from inference.tokens.learning import Correction, margin_of
from inference.tokens.measures import EMPTY, TextMeasure

# What a text has without a template: a first and a last token.
_TOKENS_AROUND_A_TEXT = 2
# Of o200k's tokens; the leanest vocabulary was seen to take 0.7 of them, in a script of India.
_LEAST_FACTOR = 0.5


class PromptFacts(TypedDict):
    """What a usage event carries for learning: what was estimated before any correction."""

    script: str
    likely_tokens: int
    most_tokens: int


@dataclass(frozen=True, slots=True)
class TokenBound:
    """likely: to plan by. most: to hold money by. facts: for the usage event."""

    likely: int
    most: int
    facts: PromptFacts


@dataclass(frozen=True, slots=True)
class Range:
    likely: float
    most: float

    def __add__(self, other: "Range") -> "Range":
        return Range(self.likely + other.likely, self.most + other.most)


def start_bound(
    text: TextMeasure,
    factors: Factors,
    *,
    messages: int,
    has_system: bool = False,
    tools: TextMeasure = EMPTY,
) -> TokenBound:
    """By start values alone."""
    vocabulary, template = factors.vocabulary, factors.template
    found = text_range(text, vocabulary) + template_range(template, messages, has_system)
    if tools.tokens:
        found += tools_range(tools, vocabulary, template)
    likely, most = ceil(found.likely), ceil(found.most)
    facts: PromptFacts = {"script": text.script, "likely_tokens": likely, "most_tokens": most}
    return TokenBound(likely, most, facts)


def corrected(start: TokenBound, learned: Correction, text: TextMeasure) -> TokenBound:
    """By what was learned, but never below what no vocabulary goes below."""
    margin = margin_of(likely=start.likely, most=start.most)
    most = start.likely + learned.most * margin
    if not learned.may_lower:
        return replace(start, most=max(start.most, ceil(most)))
    floor = _LEAST_FACTOR * text.tokens
    likely = ceil(max(floor, start.likely + learned.likely * margin, 1))
    return replace(start, likely=likely, most=max(likely, ceil(most)))


def text_range(text: TextMeasure, vocabulary: Vocabulary) -> Range:
    profile = vocabulary.profile(text.script)
    means, wanders, noises = profile.mean, profile.wander, profile.noise
    mean = wander = noise = 0.0
    for kind, tokens in text.kinds:
        mean += tokens * means[kind]
        wander += tokens * wanders[kind]
        noise += tokens * noises[kind]
    # Every vocabulary falls back to bytes: no text has more tokens than those. Some begin
    # with a token for a space.
    bytes_ = text.bytes + 1
    return Range(min(mean, bytes_), min(mean + wander + sqrt(noise), bytes_))


def template_range(template: Template, messages: int, has_system: bool) -> Range:
    if not messages:
        return Range(_TOKENS_AROUND_A_TEXT, _TOKENS_AROUND_A_TEXT)
    return Range(
        *(
            (one.with_system if has_system else one.preamble) + one.message * messages
            for one in (template.likely, template.most)
        )
    )


def tools_range(tools: TextMeasure, vocabulary: Vocabulary, template: Template) -> Range:
    text = text_range(tools, vocabulary)
    likely, most = template.likely_tools, template.most_tools
    return Range(
        likely.preamble + likely.factor * text.likely, most.preamble + most.factor * text.most
    )
