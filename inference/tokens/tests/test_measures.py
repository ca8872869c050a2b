import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from inference.tokens.counting import count_tokens
from inference.tokens.kinds import ASCII_KINDS, KINDS, kind_of
from inference.tokens.measures import EMPTY, measure
from inference.tokens.tests.texts import GREETINGS


@pytest.mark.parametrize(("script", "text"), GREETINGS.items())
def test_the_script_of_a_text_is_told(script: str, text: str) -> None:
    assert measure(text).script == script


@pytest.mark.parametrize(
    ("token", "kind"),
    [
        (b" the", "english"),
        (b" ab", "word.1"),
        (b"function", "word.6"),
        (b"HTTP", "capitals"),
        (b"123", "digits.3"),
        (b'":"', "signs.2"),
        (b"\n    ", "indent"),
        ("ż".encode(), "latin_more.1"),
        (" qazaqşa".encode(), "latin_more.4"),
        (" привет".encode(), "cyrillic.4"),
        (" қаз".encode(), "cyrillic_more.2"),
        (" नमस्ते".encode(), "devanagari.4"),
        ("你好".encode(), "han.2"),
        ("は".encode(), "kana.1"),
        ("안녕".encode(), "hangul.2"),
        (b"\xf0", "parts.1"),
        (b"\xf0\x9f", "parts.2"),
    ],
)
def test_tokens_are_told_apart_by_script_and_length(token: bytes, kind: str) -> None:
    assert kind_of(token) == kind


def test_nothing_is_measured_as_nothing() -> None:
    assert measure("") == EMPTY


@given(st.text(max_size=300))
@settings(deadline=None)
def test_every_token_has_one_kind(text: str) -> None:
    measured = measure(text)

    assert sum(tokens for _, tokens in measured.kinds) == measured.tokens == count_tokens(text)
    assert measured.bytes == len(text.encode())
    assert all(0 <= kind < len(KINDS) and tokens > 0 for kind, tokens in measured.kinds)


@given(st.text(st.characters(max_codepoint=127), min_size=1, max_size=300))
@settings(deadline=None)
def test_ascii_has_only_kinds_of_ascii(text: str) -> None:
    assert all(kind < len(ASCII_KINDS) for kind, _ in measure(text).kinds)


def test_half_a_surrogate_pair_is_measured_too() -> None:
    assert measure("a \ud83d b").tokens > 0


def test_a_long_text_is_measured_in_slices() -> None:
    measured = measure("The quick brown fox. " * 20_000)

    assert 100_000 <= measured.tokens <= 100_000 + 20
    assert measured.script == "english"
