from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from inference.upstreams.sse import events

STREAM = (
    'data: {"a":"ü"}\n\n: comment\n\ndata:{"b":2}\r\n\r\nevent: x\nid: 5\ndata: [DONE]\n\n'.encode()
)


@given(st.lists(st.integers(0, len(STREAM)), max_size=8))
def test_events_are_read_alike_however_the_bytes_are_cut(cuts: list[int]) -> None:
    edges = [0, *sorted(cuts), len(STREAM)]
    pieces = [STREAM[a:b] for a, b in pairwise(edges)]

    assert list(events(pieces)) == [
        (b"", '{"a":"ü"}'.encode()),
        (b"", b'{"b":2}'),
        (b"x", b"[DONE]"),
    ]


def test_a_last_line_without_its_end_is_read() -> None:
    assert list(events([b'data: {"a":1}'])) == [(b"", b'{"a":1}')]


def test_a_name_belongs_to_its_event_alone_and_a_mark_at_the_beginning_to_none() -> None:
    stream = b"\xef\xbb\xbfdata: 1\n\nevent: error\ndata: 2\n\ndata: 3\n\n"

    assert list(events([stream])) == [(b"", b"1"), (b"error", b"2"), (b"", b"3")]
