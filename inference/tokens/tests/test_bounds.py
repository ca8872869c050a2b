"""Bounds of prompts, against the vocabularies themselves. Many more texts: bench/tests."""

from functools import cache

import pytest
import splintr
from hypothesis import given, settings
from hypothesis import strategies as st

from inference.tokens import selectors
from inference.tokens.bounds import token_bound
from inference.tokens.learning import Correction
from inference.tokens.measures import measure
from inference.tokens.selectors import Snapshot
from inference.tokens.tests.texts import GREETINGS

LLAMA = {"model": "llama-3.3-70b-fast", "vocabulary": "llama3"}


@pytest.fixture(autouse=True)
def _start_values(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing is learned, and nobody asks PostgreSQL."""
    learn(monkeypatch)


def learn(monkeypatch: pytest.MonkeyPatch, **corrections: Correction) -> None:
    """By script, for llama-3.3-70b-fast and the shortest prompts."""
    cells = {(LLAMA["model"], script, 0): found for script, found in corrections.items()}
    monkeypatch.setattr(selectors, "_current", Snapshot(cells, loaded_at=float("inf")))


@cache
def tokenizer(name: str) -> splintr.Tokenizer:
    return splintr.Tokenizer.from_pretrained(name)


def real_tokens(name: str, text: str) -> int:
    return len(tokenizer(name).encode_ordinary(text))


@pytest.mark.parametrize(("script", "text"), GREETINGS.items())
@pytest.mark.parametrize(
    ("model", "vocabulary", "tokenizer"),
    [
        ("llama-3.3-70b-fast", "llama3", "llama3"),
        ("qwen-3-30b", "qwen", "qwen3"),
        ("glm-5.3", "glm", "glm4"),
        ("mistral-7b-lora", "llama2", "mistral_v1"),
        ("gemma-4-26b", "gemma", "gemma4"),
    ],
)
def test_a_bare_text_is_bound_in_every_script(
    script: str, text: str, model: str, vocabulary: str, tokenizer: str
) -> None:
    bound = token_bound(measure(text), model=model, vocabulary=vocabulary)

    assert real_tokens(tokenizer, text) <= bound.most
    assert bound.likely <= bound.most


def test_no_text_has_more_tokens_than_bytes() -> None:
    bound = token_bound(measure("hi"), **LLAMA)

    assert bound.most <= len("hi") + 1 + 2  # with a first and a last token


def test_a_short_chat_is_held_for_little_more_than_its_template() -> None:
    bound = token_bound(measure("hi"), **LLAMA, messages=1)

    assert 36 <= bound.most <= 45  # 36 by Llama 3.3's own template


def test_digits_cost_more_where_a_vocabulary_takes_them_one_by_one() -> None:
    numbers = measure("1234567890 " * 50)

    assert token_bound(numbers, model="qwen-3-30b", vocabulary="qwen").likely > 1.5 * (
        token_bound(numbers, **LLAMA).likely
    )


def test_messages_and_tools_add_to_the_bound() -> None:
    text, tools = measure("What is the weather in Lima?"), measure('{"name":"get_weather"}')
    one = token_bound(text, **LLAMA, messages=1)
    five = token_bound(text, **LLAMA, messages=5)
    with_tools = token_bound(text, **LLAMA, messages=1, tools=tools)

    assert five.most - one.most >= 4 * 4
    assert with_tools.most > one.most + tools.tokens


def test_an_unknown_vocabulary_is_bound_by_the_widest() -> None:
    text = measure(GREETINGS["devanagari"])

    unknown = token_bound(text, model="new", vocabulary="never heard of")
    assert unknown.most >= real_tokens("llama2", GREETINGS["devanagari"])


def test_what_was_learned_moves_the_bound_of_its_cell_alone(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    english, thai = measure(GREETINGS["english"]), measure(GREETINGS["thai"])
    start = token_bound(english, **LLAMA)

    learn(monkeypatch, english=Correction(likely=-0.1, most=0.2, may_lower=True))

    lower = token_bound(english, **LLAMA)
    assert lower.most < start.most
    assert lower.facts == start.facts  # learning must not learn from itself
    assert token_bound(thai, **LLAMA).facts["most_tokens"] == token_bound(thai, **LLAMA).most


def test_too_little_evidence_raises_a_bound_but_never_lowers_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    text = measure(GREETINGS["english"])
    start = token_bound(text, **LLAMA)

    learn(monkeypatch, english=Correction(likely=-1, most=-1, may_lower=False))
    assert token_bound(text, **LLAMA) == start

    learn(monkeypatch, english=Correction(likely=2, most=3, may_lower=False))
    raised = token_bound(text, **LLAMA)
    assert (raised.likely, raised.most > start.most) == (start.likely, True)


@given(
    likely=st.floats(-4, 12),
    most=st.floats(-4, 12.2),
    text=st.text(max_size=200),
    lower=st.booleans(),
)
@settings(deadline=None)
def test_whatever_is_learned_a_bound_keeps_its_floor(
    likely: float, most: float, text: str, lower: bool
) -> None:
    text = f"the word and {text}"
    with pytest.MonkeyPatch.context() as monkeypatch:
        learn(
            monkeypatch,
            **dict.fromkeys(["english", "latin", "code"], Correction(likely, most, lower)),
        )
        bound = token_bound(measure(text), **LLAMA)

    assert bound.most >= bound.likely >= 0.5 * measure(text).tokens
