"""FLAC: its first block says how many samples there are."""

from fractions import Fraction

from inference.audio.lengths.walk import behind_id3

_MOST_BLOCKS = 1_000
_MOST_HERTZ = 192_000


def is_flac(content: bytes) -> bool:
    at = behind_id3(content)
    return content[at : at + 4] == b"fLaC"


def flac_seconds(content: bytes) -> Fraction | None:
    """None where it does not say, or says less than its frames can hold."""
    at = behind_id3(content) + 4
    facts = int.from_bytes(content[at + 14 : at + 22], "big")
    hertz, samples = facts >> 44, facts & (1 << 36) - 1
    channels, bits = (facts >> 41 & 7) + 1, (facts >> 36 & 31) + 1
    # Nobody has more samples a second; it is a way to seem short.
    if not 0 < hertz <= _MOST_HERTZ or not samples:
        return None
    # Frames are never much larger than the samples in them.
    frame_bytes = len(content) - _first_frame(content, at)
    if frame_bytes * 8 > samples * channels * bits * 5 // 4 + 100_000:
        return None
    return Fraction(samples, hertz)


def _first_frame(content: bytes, at: int) -> int:
    """Behind all blocks of facts, cover pictures among them."""
    for _ in range(_MOST_BLOCKS):
        if at + 4 > len(content):
            break
        is_last = content[at] & 0x80
        at += 4 + int.from_bytes(content[at + 1 : at + 4], "big")
        if is_last:
            break
    return min(at, len(content))
