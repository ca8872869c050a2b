import pytest

from inference.tokens.counting import count_tokens, upper_bound


def test_short_text_is_counted_by_o200k() -> None:
    assert count_tokens("") == 0
    assert count_tokens("hello world") == 2
    assert count_tokens("<|endoftext|>") > 1  # a client cannot forge special tokens


def test_long_text_is_counted_in_slices_within_a_token_each() -> None:
    text = "The quick brown fox. " * 20_000

    assert 100_000 <= count_tokens(text) <= 100_000 + 20


def test_text_without_spaces_does_not_take_for_ever() -> None:
    assert count_tokens("a" * 2_000_000) > 1000


@pytest.mark.parametrize(
    ("text", "vocabulary", "factor"),
    [
        ("plain English text", "o200k", 1.0),
        ("plain English text", "llama3", 1.03),
        ("plain English text", "qwen", 1.3),
        ("नमस्ते दुनिया", "qwen", 1.95),
        ("สวัสดีชาวโลก", "glm", 2.1),
    ],
)
def test_the_upper_bound_grows_with_vocabulary_and_script(
    text: str, vocabulary: str, factor: float
) -> None:
    bound = upper_bound(text, 1000, vocabulary)
    assert 1000 * factor <= bound <= 1000 * factor + 1


def test_latin_with_some_accents_is_bound_near_latin() -> None:
    assert upper_bound("Viele Grüße aus Köln an alle Leser", 1000, "qwen") < 1450
