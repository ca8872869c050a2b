import pytest
from hypothesis import given
from hypothesis import strategies as st

from inference.chat.events import Delta, Event, Finish
from inference.chat.stops import stop_at


def run(pieces: list[str], stops: list[str]) -> tuple[str, str]:
    events: list[Event] = [*(Delta(content=piece) for piece in pieces), Finish(0, "length")]
    out = list(stop_at(iter(events), stops))
    text = "".join(event.content for event in out if isinstance(event, Delta))
    (reason,) = (event.reason for event in out if isinstance(event, Finish))
    return text, reason


@pytest.mark.parametrize(
    ("pieces", "stops", "text", "reason"),
    [
        (["one END two"], ["END"], "one ", "stop"),
        (["one E", "N", "D two"], ["END"], "one ", "stop"),
        (["one E", "N"], ["END"], "one EN", "length"),
        (["a", "b", "c"], ["x"], "abc", "length"),
        (["abc"], ["c", "b"], "a", "stop"),
        (["aab"], ["ab"], "a", "stop"),
        (["a", "a", "b"], ["aab"], "", "stop"),
    ],
)
def test_the_first_stop_ends_the_text(
    pieces: list[str], stops: list[str], text: str, reason: str
) -> None:
    assert run(pieces, stops) == (text, reason)


@given(
    pieces=st.lists(st.text(alphabet="ab", max_size=4), max_size=8),
    stops=st.lists(st.text(alphabet="ab", min_size=1, max_size=3), min_size=1, max_size=3),
)
def test_however_the_text_is_cut_the_result_is_that_of_the_whole(
    pieces: list[str], stops: list[str]
) -> None:
    assert run(pieces, stops)[1] == run(["".join(pieces)], stops)[1]
    if len(stops) == 1:
        assert run(pieces, stops) == run(["".join(pieces)], stops)


def test_nothing_is_read_after_the_stop() -> None:
    read = []

    def pieces() -> object:
        for piece in ["a STOP", "never"]:
            read.append(piece)
            yield Delta(content=piece)

    list(stop_at(pieces(), ["STOP"]))  # type: ignore[arg-type]

    assert read == ["a STOP"]


def test_the_end_tells_which_stop_it_was() -> None:
    events: list[Event] = [Delta(content="a b c"), Finish(0, "stop")]
    *_, last = stop_at(iter(events), ["c", "b"])
    assert isinstance(last, Finish)
    assert last.stop_sequence == "b"
