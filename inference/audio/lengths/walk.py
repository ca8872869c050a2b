"""What all readers of containers share.

Files come from strangers. A reader takes a bounded number of steps, each of which goes on in
the file, and believes no length that the file's size makes absurd.
"""

from decimal import ROUND_CEILING, Decimal
from fractions import Fraction

# As many frames, packets or boxes as are looked at one by one: an hour and more of most
# codecs, a fifth of a second of work.
MOST_STEPS = 500_000
_MOST_TAGS = 8
_MICROSECOND = Decimal("0.000001")


def as_seconds(exact: Fraction) -> Decimal:
    """Rounded up to a microsecond."""
    seconds = Decimal(exact.numerator) / Decimal(exact.denominator)
    return seconds.quantize(_MICROSECOND, rounding=ROUND_CEILING)


def as_a_whole(seen: Fraction, *, bytes_seen: int, bytes_left: int) -> Fraction:
    """The length of a file of which only the beginning was looked at."""
    if not bytes_seen or not bytes_left:
        return seen
    return seen + seen * bytes_left / bytes_seen


def behind_id3(content: bytes) -> int:
    """Where the sound begins behind ID3v2 tags."""
    at = 0
    for _ in range(_MOST_TAGS):
        if content[at : at + 3] != b"ID3" or at + 10 > len(content):
            break
        size = 0
        for byte in content[at + 6 : at + 10]:
            size = size << 7 | byte & 0x7F
        at += 10 + size
    return at
