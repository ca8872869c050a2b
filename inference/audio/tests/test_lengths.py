"""How long a sound is: exact where that can be known, never too short, whatever the bytes."""

import os
import random
import time
from collections.abc import Callable
from decimal import Decimal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from inference.audio.lengths.reader import CONTAINERS, container_of, length_of
from inference.audio.tests import sounds

MIB = 1024 * 1024

FILES = {
    "wav": (sounds.wav(1.5), "1.5"),
    "wav with rubbish behind it": (sounds.wav(1.5, behind=bytes(999)), "1.5"),
    "mp3": (sounds.mp3(100), "2.612245"),
    "mp3 behind a tag": (sounds.id3(5_000) + sounds.mp3(100), "2.612245"),
    "mp3 with rubbish in it": (sounds.mp3(50) + bytes(77) + sounds.mp3(50), "2.612245"),
    "mp3 of many bitrates": (
        sounds.mp3(50) + sounds.mp3(50, head=b"\xff\xf3\x80\xc0", size=208),
        "2.612245",
    ),
    "mp3 with a frame of facts": (b"\xff\xf3\x40\xc0Xing".ljust(104) + sounds.mp3(100), "2.612245"),
    "aac": (sounds.adts(100), "4.643991"),
    "flac": (sounds.flac(16_000 * 2), "2"),
    "flac with a cover": (sounds.flac(16_000 * 2, cover=MIB), "2"),
    "opus": (sounds.opus(150), "2.9935"),
    "opus, trimmed": (sounds.opus(150, granule=143_000), "2.972667"),
    "vorbis": (sounds.vorbis(44_100 * 2), "2"),
    "mp4": (sounds.mp4(2_500), "2.5"),
    "mp4, long form": (sounds.mp4(2_500, version=1), "2.5"),
    "webm": (sounds.webm(duration_ms=2_500.0, blocks_ms=(0, 1_000, 2_440)), "2.5"),
    "webm of a browser": (sounds.webm(blocks_ms=(0, 1_000, 2_440)), "2.5"),
}


@pytest.mark.parametrize("name", FILES)
def test_exact_where_the_container_tells(name: str) -> None:
    content, seconds = FILES[name]
    length = length_of(content)

    assert length.is_exact
    assert length.most_s == Decimal(seconds)


@pytest.mark.parametrize("name", FILES)
def test_each_container_is_known_by_its_bytes(name: str) -> None:
    found = container_of(FILES[name][0])

    assert found is not None
    expected = name.split()[0].rstrip(",")
    assert found.name == {"opus": "ogg", "vorbis": "ogg"}.get(expected, expected)


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"no sound at all",
        bytes(MIB),
        sounds.wav(1, codec=0x31),
        sounds.flac(0),
        sounds.mp4(0),
        sounds.mp4(1_000, extra=sounds.box(b"moof", bytes(100))),
        sounds.webm(),
        b"OggS" + bytes(500),
    ],
)
def test_by_its_size_where_nothing_believable_is_told(content: bytes) -> None:
    length = length_of(content)

    assert length.most_s == Decimal(len(content)) / 500
    assert length.likely_s <= length.most_s


@pytest.mark.parametrize(
    "content", [sounds.mp4(10**9), sounds.webm(duration_ms=1e30), sounds.vorbis(1 << 40)]
)
def test_what_claims_to_be_longer_than_its_bytes_can_be_is_not_believed(content: bytes) -> None:
    length = length_of(content)

    assert length.most_s == Decimal(len(content)) / 25
    assert not length.is_exact


def test_what_claims_to_be_short_is_not_believed() -> None:
    # One second, it says.
    assert length_of(sounds.opus(500, granule=48_000 + 312)).most_s == 10
    assert length_of(sounds.flac(16_000, frame_bytes=MIB)).most_s > 2_000
    assert length_of(sounds.webm(duration_ms=1_000.0, blocks_ms=(0, 10_000))).most_s > 10
    assert length_of(sounds.vorbis(44_100) + bytes(MIB)).most_s > 2_000
    assert length_of(sounds.flac(1_000_000, rate=1_000_000)).most_s > 1
    tag = b"\xff\xf3\x40\xc0Xing\0\0\0\x01\0\0\0\x01".ljust(104, b"\0")
    assert length_of(tag + sounds.mp3(1_000)).most_s > 26


def test_of_two_formats_in_a_wav_the_slower_counts() -> None:
    content = sounds.wav(2)
    fast = sounds.wav(0, rate=4_000_000)[12:36]
    at = content.index(b"data")

    assert length_of(content[:at] + fast + content[at:]).most_s == 2
    assert length_of(content[:12] + fast + content[12:]).most_s == 2


def test_a_large_file_is_walked_through_once() -> None:
    content = sounds.mp3(20_000)
    length = length_of(content)

    assert length_of(bytes(bytearray(content))) is length


def test_a_wav_whose_size_was_not_known_goes_to_its_end() -> None:
    content = sounds.wav(2)
    at = content.index(b"data") + 4
    for size in (bytes(4), b"\xff" * 4):
        assert length_of(content[:at] + size + content[at + 4 :]).most_s == 2


@pytest.mark.parametrize(
    "make",
    [
        pytest.param(lambda: os.urandom(25 * MIB), id="noise"),
        pytest.param(lambda: b"\xff\xf3" * (12 * MIB), id="false syncs"),
        pytest.param(lambda: b"\xff" * 25 * MIB, id="only syncs"),
        pytest.param(
            lambda: sounds.mp3(1, head=b"\xff\xf3\x14\0", size=24) * MIB, id="tiny frames"
        ),
        pytest.param(lambda: sounds.adts(1, payload=0) * 3 * MIB, id="empty frames"),
        pytest.param(lambda: sounds.opus(3_000) * 190, id="opus"),
        pytest.param(
            lambda: b"OggS" + sounds.opus(0) + (b"OggS" + bytes(22) + b"\0") * MIB, id="empty pages"
        ),
        pytest.param(lambda: sounds.opus(1)[:-41] + b"\xff" * 25 * MIB, id="one page"),
        pytest.param(lambda: b"RIFF\0\0\0\0WAVE" + b"abcd\0\0\0\0" * 3 * MIB, id="empty chunks"),
        pytest.param(lambda: b"\0\0\0\x08ftyp" * 3 * MIB, id="empty boxes"),
        pytest.param(lambda: sounds.webm() + b"\xa3\x80" * 12 * MIB, id="empty blocks"),
        pytest.param(
            lambda: b"\x1aE\xdf\xa3\x80" + b"\xa0\xff" * 12 * MIB, id="groups without end"
        ),
        pytest.param(lambda: b"fLaC" + b"\0\0\0\0" * 6 * MIB, id="empty facts"),
        pytest.param(lambda: b"ID3\x04\0\0\0\0\0\0" * 2 * MIB, id="empty tags"),
    ],
)
def test_large_files_are_read_quickly(make: Callable[[], bytes]) -> None:
    content = make()
    started = time.process_time()
    length_of(content)

    assert time.process_time() - started < 1.5


def test_the_rest_of_a_long_file_counts_as_its_beginning() -> None:
    # A million frames, of which half is looked at.
    content = sounds.mp3(1, head=b"\xff\xf3\x14\0", size=24) * (1024 * 1024)

    assert length_of(content).most_s == pytest.approx(Decimal(1024 * 1024) * 576 / 24_000)


STARTS = [content[:300] for content, _ in FILES.values()]


@given(st.sampled_from(STARTS), st.integers(0, 300), st.binary(max_size=400))
@settings(max_examples=300, deadline=None)
def test_any_bytes_have_a_length(start: bytes, cut: int, rest: bytes) -> None:
    content = start[:cut] + rest
    length = length_of(content)

    assert 0 <= length.likely_s <= length.most_s or length.is_exact
    assert length.most_s.is_finite()
    assert length.most_s <= Decimal(len(content)) / 25 + 1


@given(st.sampled_from(list(FILES)), st.integers(0, 2**32))
@settings(max_examples=200, deadline=None)
def test_damaged_files_have_a_length(name: str, seed: int) -> None:
    rng = random.Random(seed)
    content = bytearray(FILES[name][0][:20_000])
    for _ in range(rng.randint(1, 20)):
        content[rng.randrange(min(len(content), 400))] = rng.randrange(256)
    for damaged in (bytes(content), bytes(content[: rng.randrange(len(content))])):
        assert length_of(damaged).most_s >= 0
        for container in CONTAINERS:
            container.seconds(damaged)
