from uuid import uuid4

import pytest

from agentflare import throttle


def test_each_may_so_often_and_is_counted_alone() -> None:
    ann, bob = uuid4().hex, uuid4().hex

    tries = [throttle.allows("test", ann, most=2, in_s=86_400) for _ in range(3)]

    assert tries == [True, True, False]
    assert throttle.allows("test", bob, most=2, in_s=86_400)
    assert throttle.allows("another", ann, most=2, in_s=86_400)


def test_several_at_once_count_as_several() -> None:
    ann = uuid4().hex

    assert throttle.allows("test", ann, most=10, in_s=86_400, times=10)
    assert not throttle.allows("test", ann, most=10, in_s=86_400)


def test_another_window_begins_anew(monkeypatch: pytest.MonkeyPatch) -> None:
    ann = uuid4().hex
    monkeypatch.setattr(throttle.time, "time", lambda: 1_800_000_000.0)
    assert not throttle.allows("test", ann, most=1, in_s=60, times=2)

    monkeypatch.setattr(throttle.time, "time", lambda: 1_800_000_060.0)

    assert throttle.allows("test", ann, most=1, in_s=60)
