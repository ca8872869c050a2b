import time

from agentflare.ids import BASE62, base62, uuid7


def test_request_ids_sort_by_time_and_are_version_7() -> None:
    first = uuid7()
    time.sleep(0.002)
    second = uuid7()

    assert first.version == second.version == 7
    assert first.variant == "specified in RFC 4122"
    assert first < second


def test_request_ids_of_one_moment_differ() -> None:
    assert len({uuid7() for _ in range(10_000)}) == 10_000


def test_base62_keeps_its_length_and_tells_numbers_apart() -> None:
    assert base62(0, 6) == "000000"
    assert base62(61, 6) == "00000z"
    assert base62(2**32 - 1, 6) != base62(2**32 - 2, 6)
    assert set(base62(2**32 - 1, 6)) <= set(BASE62)
