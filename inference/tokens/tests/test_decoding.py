import pytest
import tiktoken
from hypothesis import given, settings
from hypothesis import strategies as st

from inference.tokens.decoding import decode_tokens
from inference.tokens.vocabularies import cl100k, o200k


@given(st.text(max_size=200))
@settings(deadline=None)
def test_cl100k_numbers_come_back_as_their_text(text: str) -> None:
    assert decode_tokens(cl100k().encode_ordinary(text)) == text


def test_numbers_beyond_cl100k_are_read_as_o200k() -> None:
    text = "नमस्ते दुनिया, это пример и 你好"
    ids = o200k().encode_ordinary(text)

    assert max(ids) >= 100_256
    assert decode_tokens(ids) == text


def test_no_numbers_are_no_text() -> None:
    assert decode_tokens([]) == ""


@pytest.mark.parametrize("bad", [-1, 199_998, 200_018, 10**9])
def test_a_number_that_no_vocabulary_has_is_refused(bad: int) -> None:
    with pytest.raises(ValueError, match="not a token"):
        decode_tokens([1, bad])


def test_every_number_in_range_is_known() -> None:
    assert decode_tokens([100_255])
    assert decode_tokens([100_256])
    assert decode_tokens([199_997])


def test_a_cut_through_a_character_is_shown_as_such() -> None:
    ids = cl100k().encode_ordinary("🧪")

    assert len(ids) > 1
    assert decode_tokens(ids[:1]) == "�"


def test_the_files_are_openais_own() -> None:
    # tiktoken checks their hashes as it loads them.
    assert isinstance(cl100k(), tiktoken.Encoding)
    assert cl100k().name == "cl100k_base"
