"""Ogg: Opus packet by packet, other codecs by the position that the last page has."""

from fractions import Fraction

from inference.audio.lengths.walk import MOST_STEPS, as_a_whole

_PAGE_HEADER = 27
_OPUS_HERTZ = 48_000
# Vorbis at its best has 500 kbit/s, FLAC of two channels three times that.
_MOST_BYTES_A_SECOND = 192_000
# What the last page's position may leave out of the last packets, and the first.
_TRIMMED = Fraction(1, 4)


def is_ogg(content: bytes) -> bool:
    return content[:4] == b"OggS"


def is_opus(content: bytes) -> bool:
    return is_ogg(content) and b"OpusHead" in _head(content)


def opus_seconds(content: bytes) -> Fraction | None:
    head = _head(content)
    at = head.find(b"OpusHead")
    return _opus_seconds(content, pre_skip=int.from_bytes(head[at + 10 : at + 12], "little"))


def ogg_seconds(content: bytes) -> Fraction | None:
    """Of other codecs. None where more bytes went into a second than any of them needs."""
    hertz, last = _hertz(_head(content)), _last_position(content)
    if not last or not hertz or Fraction(last, hertz) * _MOST_BYTES_A_SECOND < len(content):
        return None
    return Fraction(last, hertz)


def _head(content: bytes) -> bytes:
    return content[_PAGE_HEADER : _PAGE_HEADER + 512]


def _hertz(head: bytes) -> int:
    if (at := head.find(b"\x01vorbis")) >= 0:
        return int.from_bytes(head[at + 12 : at + 16], "little")
    if (at := head.find(b"Speex   ")) >= 0:
        return int.from_bytes(head[at + 36 : at + 40], "little")
    if (at := head.find(b"fLaC")) >= 0:
        return int.from_bytes(head[at + 18 : at + 21], "big") >> 4
    return 0


def _last_position(content: bytes) -> int:
    at = content.rfind(b"OggS")
    position = int.from_bytes(content[at + 6 : at + 14], "little")
    return position if position < 1 << 63 else 0


def _opus_seconds(content: bytes, *, pre_skip: int) -> Fraction | None:
    """What the packets hold. The last position trims it, but is not believed beyond that."""
    quarters, at, steps = 0, 0, 0
    is_inside = False
    while 0 <= at < len(content) and steps < MOST_STEPS:
        steps += 1
        table_at = at + _PAGE_HEADER
        table = content[table_at : table_at + (content[at + 26] if table_at <= len(content) else 0)]
        body_at = table_at + len(table)
        is_head = content[body_at : body_at + 4] == b"Opus"
        for size in table:
            steps += 1
            if not is_inside and not is_head and size:
                quarters += _packet_quarters(content, body_at)
            is_inside = size == 255
            body_at += size
        at = content.find(b"OggS", max(body_at, at + 4))
    if not quarters:
        return None
    total = Fraction(quarters, 4000)
    if 0 <= at < len(content):
        return as_a_whole(total, bytes_seen=at, bytes_left=len(content) - at)
    told = Fraction(max(0, _last_position(content) - pre_skip), _OPUS_HERTZ)
    return told if total - _TRIMMED <= told <= total else total


def _packet_quarters(content: bytes, at: int) -> int:
    """A packet's quarters of a millisecond, by its first bytes (RFC 6716, 3.1)."""
    if at >= len(content):
        return 0
    kind, frames = _FRAMES[content[at]]
    if not frames:
        frames = content[at + 1] & 63 if at + 1 < len(content) else 1
    return min(kind * frames, 480)


def _frames() -> list[tuple[int, int]]:
    """First byte → quarters of a millisecond a frame, and frames; 0: the next byte tells."""
    table = []
    for first in range(256):
        kind = first >> 3
        if kind < 12:
            size = (40, 80, 160, 240)[kind % 4]
        elif kind < 16:
            size = (40, 80)[kind % 2]
        else:
            size = (10, 20, 40, 80)[kind % 4]
        table.append((size, (1, 2, 2, 0)[first & 3]))
    return table


_FRAMES = _frames()
