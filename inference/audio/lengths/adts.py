"""AAC as a bare stream of ADTS frames."""

from fractions import Fraction

from inference.audio.lengths.walk import MOST_STEPS, as_a_whole, behind_id3

_HERTZ = (96000, 88200, 64000, 48000, 44100, 32000, 24000, 22050, 16000, 12000, 11025, 8000, 7350)
_SAMPLES = 1024


def is_adts(content: bytes) -> bool:
    at = behind_id3(content)
    return len(content) >= at + 7 and content[at] == 0xFF and content[at + 1] & 0xF6 == 0xF0


def adts_seconds(content: bytes) -> Fraction | None:
    start = at = behind_id3(content)
    end = len(content)
    seen = [0] * 16
    steps = 0
    while at + 7 <= end and steps < MOST_STEPS:
        steps += 1
        size = (content[at + 3] & 3) << 11 | content[at + 4] << 3 | content[at + 5] >> 5
        if content[at] != 0xFF or content[at + 1] & 0xF6 != 0xF0 or size < 7:
            at = content.find(b"\xff", at + 1)
            if at < 0:
                at = end
            continue
        seen[content[at + 2] >> 2 & 15] += 1 + (content[at + 6] & 3)
        at += size
    blocks = zip(seen, _HERTZ, strict=False)
    total = sum((Fraction(count * _SAMPLES, hertz) for count, hertz in blocks), Fraction(0))
    if not total:
        return None
    return as_a_whole(total, bytes_seen=at - start, bytes_left=max(0, end - at))
