"""WebM and Matroska: the element Duration, and the time of the last block.

Recordings of browsers have no Duration: it was not known when the header was written.
"""

import math
import struct
from fractions import Fraction

from inference.audio.lengths.walk import MOST_STEPS, as_a_whole

# Its elements take longer to read than frames do.
_MOST_STEPS = MOST_STEPS // 2
_EBML = b"\x1aE\xdf\xa3"
_INFO_SCALE, _DURATION = 0x2AD7B1, 0x4489
_CLUSTER_TIME, _SIMPLE_BLOCK, _BLOCK = 0xE7, 0xA3, 0xA1
# Segment, Info, Cluster, BlockGroup: what is looked into.
_MASTERS = {0x18538067, 0x1549A966, 0x1F43B675, 0xA0}
# The longest block of a browser's recording: 60 ms of Opus.
_LAST_BLOCK = Fraction(60, 1000)


def is_matroska(content: bytes) -> bool:
    return content[:4] == _EBML


def matroska_seconds(content: bytes) -> Fraction | None:
    scale_ns, told, cluster, last = 1_000_000, 0.0, 0, -1
    at, end, steps = 0, len(content), 0
    while at < end and steps < _MOST_STEPS:
        steps += 1
        kind, at = _identifier(content, at)
        size, at = _number(content, at)
        if not kind or at > end:
            break
        if kind in _MASTERS:
            continue
        if size is None:
            break
        value = content[at : at + min(size, 8)]
        if kind == _INFO_SCALE:
            scale_ns = int.from_bytes(value, "big")
        elif kind == _DURATION:
            told = _float(value)
        elif kind == _CLUSTER_TIME:
            cluster = int.from_bytes(value, "big")
        elif kind in (_SIMPLE_BLOCK, _BLOCK):
            last = max(last, cluster + _block_time(value))
        at += size
    if not told and last < 0:
        return None
    scale = Fraction(scale_ns, 10**9)
    by_blocks = last * scale + _LAST_BLOCK if last >= 0 else Fraction(0)
    if steps == _MOST_STEPS:
        by_blocks = as_a_whole(by_blocks, bytes_seen=at, bytes_left=max(0, end - at))
    duration = Fraction(told) * scale
    # A Duration that the last block does not exceed is exact.
    return duration if duration + _LAST_BLOCK >= by_blocks else by_blocks


def _identifier(content: bytes, at: int) -> tuple[int, int]:
    """0: nothing that could be one."""
    length = _length(content, at)
    if not 0 < length <= 4:
        return 0, at
    return int.from_bytes(content[at : at + length], "big"), at + length


def _number(content: bytes, at: int) -> tuple[int | None, int]:
    """A size. None: not known when it was written."""
    length = _length(content, at)
    if not length:
        return None, at
    value = int.from_bytes(content[at : at + length], "big") & (1 << 7 * length) - 1
    return None if value == (1 << 7 * length) - 1 else value, at + length


def _length(content: bytes, at: int) -> int:
    """Of a number whose first byte tells it, by its leading zeros."""
    return 9 - content[at].bit_length() if at < len(content) and content[at] else 0


def _block_time(block: bytes) -> int:
    """Relative to its cluster, behind the track's number."""
    track_length = _length(block, 0)
    return int.from_bytes(block[track_length : track_length + 2], "big", signed=True)


def _float(value: bytes) -> float:
    if len(value) not in (4, 8):
        return 0.0
    (number,) = struct.unpack(">f" if len(value) == 4 else ">d", value)
    return float(number) if math.isfinite(number) and number > 0 else 0.0
