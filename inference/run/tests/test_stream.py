from typing import Any

import pytest

from inference.run.stream import is_whole, whole
from inference.upstreams.failures import UpstreamCallError


@pytest.mark.parametrize("result", [None, {}, [], "text", 5])
def test_nothing_in_place_of_a_stream_is_upstreams_fault(result: Any) -> None:
    with pytest.raises(UpstreamCallError):
        whole(result)


@pytest.mark.parametrize(
    ("choices", "expected"),
    [
        ([{"message": {}}], True),
        ([{"delta": {}}], False),
        ([], False),
        ([None], False),
        ("message", False),
        (5, False),
        (None, False),
    ],
)
def test_any_frame_is_a_completion_or_none(choices: Any, expected: bool) -> None:
    assert is_whole({"choices": choices}) is expected
