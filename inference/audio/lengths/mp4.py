"""MP4 and M4A: the longest that the movie, or one of its tracks, says it is."""

from collections.abc import Iterator
from fractions import Fraction

_MOST_BOXES = 20_000
_PATHS = {b"moov", b"trak", b"mdia"}


def is_mp4(content: bytes) -> bool:
    return content[4:8] == b"ftyp"


def mp4_seconds(content: bytes) -> Fraction | None:
    """None for what was written while it was recorded: there each fragment adds to it."""
    longest = Fraction(0)
    for kind, start, end in _boxes(content):
        if kind == b"moof":
            return None
        if kind in (b"mvhd", b"mdhd"):
            longest = max(longest, _header_seconds(content[start : min(end, start + 32)]))
    return longest or None


def _boxes(content: bytes) -> Iterator[tuple[bytes, int, int]]:
    """Kind, start and end of what is inside, of all boxes on the way to the headers."""
    at, end = 0, len(content)
    for _ in range(_MOST_BOXES):
        if at + 8 > end:
            return
        size, kind = int.from_bytes(content[at : at + 4], "big"), content[at + 4 : at + 8]
        inside = at + 8
        if size == 1:
            size, inside = int.from_bytes(content[at + 8 : at + 16], "big"), at + 16
        # 0: to the end of the file.
        box_end = at + size if size else end
        if box_end < inside:
            return
        yield kind, inside, min(box_end, end)
        at = inside if kind in _PATHS else box_end


def _header_seconds(box: bytes) -> Fraction:
    if len(box) < 32 and (not box or box[0] == 1):
        return Fraction(0)
    if box[0] == 1:
        scale, length = int.from_bytes(box[20:24], "big"), int.from_bytes(box[24:32], "big")
        unknown = (1 << 64) - 1
    else:
        scale, length = int.from_bytes(box[12:16], "big"), int.from_bytes(box[16:20], "big")
        unknown = (1 << 32) - 1
    return Fraction(length, scale) if scale and length != unknown else Fraction(0)
