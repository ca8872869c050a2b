from typing import Any

import pytest

from agentflare.errors import ContextLengthError
from inference.audio.tests.offers import offer
from inference.catalog.selectors import Offer
from inference.embeddings.params import EmbeddingParams
from inference.embeddings.task import EmbeddingTask
from inference.inputs import texts_of_input
from inference.tokens.bounds import token_bound
from inference.tokens.measures import measure

LONG = "word " * 600


def prepare(value: Any, model: Offer, **more: Any) -> None:
    params = EmbeddingParams(model=model.name, input=value, **more)
    EmbeddingTask(params, texts_of_input(value, param="input")).prepare(model)


def bge(**changes: Any) -> Offer:
    return offer("bge-small-en", **{"max_input_tokens": 512, **changes})


@pytest.mark.parametrize(
    ("value", "param"),
    [
        (LONG, "input"),
        ([LONG], "input[0]"),
        (["a"] * 17 + [LONG], "input[17]"),
        ([1917] * 600, "input"),
        ([[1917], [1917] * 600], "input[1]"),
    ],
)
def test_the_text_that_is_too_long_is_named_as_the_client_named_it(value: Any, param: str) -> None:
    with pytest.raises(ContextLengthError) as caught:
        prepare(value, bge())
    assert caught.value.param == param
    assert f"'{param}' resulted in about" in caught.value.message


def test_a_text_s_own_limit_goes_before_the_window_of_the_whole_call() -> None:
    with pytest.raises(ContextLengthError):
        prepare(LONG, bge(context_window=153_600))
    with pytest.raises(ContextLengthError):
        prepare(LONG, bge(max_input_tokens=None, context_window=512))
    prepare(LONG, bge(max_input_tokens=None, context_window=8_192))
    prepare(LONG, bge(max_input_tokens=None))


def test_texts_that_are_long_together_alone_are_taken() -> None:
    prepare(["word " * 400] * 50, bge())


@pytest.mark.parametrize("text", ["word " * 505, "The cat sat on the mat, and it was fine. " * 42])
def test_a_text_cut_to_the_window_is_not_refused_for_our_own_doubts(text: str) -> None:
    """The upper bound, and often the likely count, lie above what it really has."""
    tokens = measure(text).tokens
    model = bge(vocabulary="unknown", max_input_tokens=tokens + 2)
    assert token_bound(measure(text), model=model.name, vocabulary="unknown").most > tokens + 2
    prepare(text, model)


def test_an_instruction_is_read_with_each_text() -> None:
    model = offer("qwen-3-embedding", context_window=512)
    prepare(["word " * 400], model, instruction="Find the word.")
    with pytest.raises(ContextLengthError):
        prepare(["word " * 400], model, instruction="word " * 200)


def test_what_no_window_holds_is_refused_uncounted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("inference.embeddings.task.measure", lambda text: pytest.fail("counted"))
    with pytest.raises(ContextLengthError):
        prepare(["a", " " * 128 * 513], bge())
