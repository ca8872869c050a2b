from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from inference.upstreams.sse import payloads

STREAM = (
    'data: {"a":"ü"}\n\n: comment\n\ndata:{"b":2}\r\n\r\nevent: x\nid: 5\ndata: [DONE]\n\n'.encode()
)


@given(st.lists(st.integers(0, len(STREAM)), max_size=8))
def test_events_are_read_alike_however_the_bytes_are_cut(cuts: list[int]) -> None:
    edges = [0, *sorted(cuts), len(STREAM)]
    pieces = [STREAM[a:b] for a, b in pairwise(edges)]

    assert list(payloads(pieces)) == ['{"a":"ü"}'.encode(), b'{"b":2}', b"[DONE]"]


def test_a_last_line_without_its_end_is_read() -> None:
    assert list(payloads([b'data: {"a":1}'])) == [b'{"a":1}']
