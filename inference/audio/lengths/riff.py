"""WAV: samples as they are, whose size is their length."""

from fractions import Fraction

_MOST_CHUNKS = 10_000
# PCM, floats, A-law, µ-law; "extensible" is one of these.
_PLAIN = {1, 3, 6, 7, 0xFFFE}


def is_wav(content: bytes) -> bool:
    return content[:4] in (b"RIFF", b"RF64") and content[8:12] == b"WAVE"


def wav_seconds(content: bytes) -> Fraction | None:
    """None for codecs that do not have a size for each sample."""
    byte_rate = samples = 0
    at = 12
    for _ in range(_MOST_CHUNKS):
        if at + 8 > len(content):
            break
        kind, size = content[at : at + 4], int.from_bytes(content[at + 4 : at + 8], "little")
        at += 8
        if kind == b"fmt " and at + 16 <= len(content):
            # Of several the slowest: decoders differ in which one they take.
            found = _byte_rate(content[at : at + 16])
            byte_rate = min(byte_rate or found, found)
        if kind == b"data":
            left = len(content) - at
            # A header written before the sound was known: all that follows.
            is_open = size in (0, 0xFFFFFFFF)
            # Several of them are one sound to those who play it.
            samples += left if is_open else min(size, left)
            if is_open:
                break
        at += size + size % 2
    return Fraction(samples, byte_rate) if byte_rate and samples else None


def _byte_rate(header: bytes) -> int:
    """From rate, channels and width; the header's own figure is used by nobody."""
    codec, channels = int.from_bytes(header[:2], "little"), int.from_bytes(header[2:4], "little")
    hertz, bits = int.from_bytes(header[4:8], "little"), int.from_bytes(header[14:16], "little")
    return hertz * channels * ((bits + 7) // 8) if codec in _PLAIN else 0
