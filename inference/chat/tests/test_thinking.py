import itertools
from collections.abc import Iterator

from hypothesis import given
from hypothesis import strategies as st

from inference.chat.events import Delta, Event, Finish
from inference.chat.thinking import split_thoughts


def read(pieces: list[str]) -> tuple[str, str]:
    def events() -> Iterator[Event]:
        for piece in pieces:
            yield Delta(content=piece)
        yield Finish(0, "stop")

    split = list(split_thoughts(events()))
    assert isinstance(split[-1], Finish)
    deltas = [event for event in split if isinstance(event, Delta)]
    return "".join(d.reasoning for d in deltas), "".join(d.content for d in deltas)


@given(st.lists(st.integers(0, 60), max_size=6))
def test_the_marks_are_found_however_the_text_was_cut(cuts: list[int]) -> None:
    text = "<think>\nSo a < b.\n\nThus 4.\n</think>\n\nIt is 4.\n"
    edges = [0, *sorted(cuts), len(text)]
    pieces = [text[a:b] for a, b in itertools.pairwise(edges)]

    assert read(pieces) == ("So a < b.\n\nThus 4.", "It is 4.\n")


def test_a_text_without_marks_is_left_as_it_is() -> None:
    assert read(["  Hello ", "<think>no</think>"]) == ("", "  Hello <think>no</think>")
    assert read(["<thin", "g> is XML"]) == ("", "<thing> is XML")
    assert read(["<th"]) == ("", "<th")


def test_a_thought_that_is_cut_off_stays_a_thought() -> None:
    assert read(["<think>all the ", "tokens went here"]) == ("all the tokens went here", "")
