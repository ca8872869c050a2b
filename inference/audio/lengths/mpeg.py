"""MP3 (and layers I and II): frame by frame.

What its tags say of the length is not asked: with a variable bitrate, and from a stranger, only
the frames tell.
"""

import re
from collections import Counter
from fractions import Fraction

from inference.audio.lengths.walk import MOST_STEPS, as_a_whole, behind_id3

_SYNC = re.compile(rb"\xff[\xe2-\xff]")
# Layer → kbit/s by index, for MPEG-1 and for MPEG-2 and 2.5.
_KBITS = {
    (1, 1): (0, 32, 64, 96, 128, 160, 192, 224, 256, 288, 320, 352, 384, 416, 448),
    (1, 2): (0, 32, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320, 384),
    (1, 3): (0, 32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320),
    (2, 1): (0, 32, 48, 56, 64, 80, 96, 112, 128, 144, 160, 176, 192, 224, 256),
    (2, 2): (0, 8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160),
    (2, 3): (0, 8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160),
}
_HERTZ = {3: (44_100, 48_000, 32_000), 2: (22_050, 24_000, 16_000), 0: (11_025, 12_000, 8_000)}
_INFO_TAGS = (b"Xing", b"Info", b"VBRI")


def _frames() -> dict[int, tuple[int, Fraction]]:
    """The second and third byte of a frame's header → its bytes, its seconds."""
    frames = {}
    for head in range(0xE200, 0x10000):
        version, layer = head >> 11 & 3, 4 - (head >> 9 & 3)
        bitrate, rate, padding = head >> 4 & 15, head >> 2 & 3, head >> 1 & 1
        if version == 1 or layer == 4 or rate == 3 or bitrate in (0, 15):
            continue
        generation, hertz = 1 if version == 3 else 2, _HERTZ[version][rate]
        samples = 384 if layer == 1 else 576 if (layer, generation) == (3, 2) else 1152
        bits = 1000 * _KBITS[generation, layer][bitrate]
        size = (12 * bits // hertz + padding) * 4 if layer == 1 else 0
        size = size or samples // 8 * bits // hertz + padding
        frames[head] = size, Fraction(samples, hertz)
    return frames


_FRAMES = _frames()


def is_mpeg(content: bytes) -> bool:
    """A frame at the start, behind a tag or a little rubbish, and another one behind it."""
    start = behind_id3(content)
    if start > len(content):
        return False
    for found in _SYNC.finditer(content, start, start + 4096):
        at = found.start()
        frame = _FRAMES.get(int.from_bytes(content[at + 1 : at + 3], "big"))
        if frame is None:
            continue
        end = at + frame[0]
        if end >= len(content) and at == start:
            return True
        if int.from_bytes(content[end + 1 : end + 3], "big") in _FRAMES and content[end] == 0xFF:
            return True
    return False


def mpeg_seconds(content: bytes) -> Fraction | None:
    start = at = behind_id3(content)
    end = len(content)
    seen: Counter[int] = Counter()
    steps = 0
    while at + 4 <= end and steps < MOST_STEPS:
        steps += 1
        head = content[at + 1] << 8 | content[at + 2]
        if content[at] == 0xFF and head in _FRAMES:
            seen[head] += 1
            at += _FRAMES[head][0]
        elif found := _SYNC.search(content, at + 1):
            at = found.start()
        else:
            at = end
    if not seen:
        return None
    total = sum((count * _FRAMES[head][1] for head, count in seen.items()), Fraction(0))
    total -= _info_frame(content, start)
    return as_a_whole(total, bytes_seen=at - start, bytes_left=max(0, end - at))


def _info_frame(content: bytes, at: int) -> Fraction:
    """The first frame may hold facts and no sound."""
    frame = _FRAMES.get(int.from_bytes(content[at + 1 : at + 3], "big"))
    if frame and any(tag in content[at : at + 64] for tag in _INFO_TAGS):
        return frame[1]
    return Fraction(0)
