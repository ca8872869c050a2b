"""How long a sound is, from its bytes: `length_of`.

mutagen is not used for this. It reads tags as well, which a stranger can make unpack to
gigabytes, and takes the length of an MP3 from its first frames or its tag.
"""

from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from decimal import Decimal
from fractions import Fraction
from hashlib import sha256

from agentflare.concurrency import off_loop
from inference.audio.lengths.adts import adts_seconds, is_adts
from inference.audio.lengths.flac import flac_seconds, is_flac
from inference.audio.lengths.matroska import is_matroska, matroska_seconds
from inference.audio.lengths.mp4 import is_mp4, mp4_seconds
from inference.audio.lengths.mpeg import is_mpeg, mpeg_seconds
from inference.audio.lengths.ogg import is_ogg, is_opus, ogg_seconds, opus_seconds
from inference.audio.lengths.riff import is_wav, wav_seconds
from inference.audio.lengths.walk import as_seconds

# No codec for speech makes less of it: AMR at its lowest has some 600 bytes a second.
_FEWEST_BYTES_A_SECOND = 500
# What speech mostly has: 32 kbit/s.
_LIKELY_BYTES_A_SECOND = 4_000
# Silence, cleverly packed. What claims to be longer than that is not believed.
_ABSURD_BYTES_A_SECOND = 25
_LARGE_BYTES = 256 * 1024
_MOST_REMEMBERED = 256


@dataclass(frozen=True, slots=True)
class Length:
    """most_s: not longer than this, unless the file lies. likely_s: what it is as far as we can
    tell. longest_s: what it can be even then: a model that hears more is not believed.

    is_exact: the container told.
    """

    most_s: Decimal
    likely_s: Decimal
    longest_s: Decimal
    is_exact: bool = False


@dataclass(frozen=True, slots=True)
class Container:
    """name: an extension that is usual for it. is_counted: what is heard was counted, frame by
    frame; else its length is what a header says, which decoders do not ask."""

    name: str
    media_type: str
    is_it: Callable[[bytes], bool]
    seconds: Callable[[bytes], Fraction | None]
    is_counted: bool = False


# By the digest of large files: some tens of bytes each.
_remembered: dict[bytes, Length] = {}

# In this order: a frame of MPEG and one of ADTS begin alike.
CONTAINERS = (
    Container("wav", "audio/wav", is_wav, wav_seconds, is_counted=True),
    Container("flac", "audio/flac", is_flac, flac_seconds),
    Container("ogg", "audio/ogg", is_opus, opus_seconds, is_counted=True),
    Container("ogg", "audio/ogg", is_ogg, ogg_seconds),
    Container("webm", "audio/webm", is_matroska, matroska_seconds),
    Container("mp4", "audio/mp4", is_mp4, mp4_seconds),
    Container("aac", "audio/aac", is_adts, adts_seconds, is_counted=True),
    Container("mp3", "audio/mpeg", is_mpeg, mpeg_seconds, is_counted=True),
)


def container_of(content: bytes) -> Container | None:
    """By its first bytes."""
    return next((container for container in CONTAINERS if container.is_it(content)), None)


def length_of(content: bytes) -> Length:
    """Exact where the container tells; else from the size. Any bytes will do.

    A large file is read off the loop, and remembered: it is asked for several times in a call.
    """
    if len(content) < _LARGE_BYTES:
        return _length_of(content)
    digest = off_loop(lambda: sha256(content).digest())
    with suppress(KeyError):
        return _remembered[digest]
    length = off_loop(lambda: _length_of(content))
    if len(_remembered) >= _MOST_REMEMBERED:
        _remembered.clear()
    _remembered[digest] = length
    return length


def _length_of(content: bytes) -> Length:
    container = container_of(content)
    told = container.seconds(content) if container else None
    by_size = length_by_size(len(content))
    if container is None or told is None:
        return by_size
    longest = Fraction(len(content), _ABSURD_BYTES_A_SECOND)
    if told > longest:
        return Length(as_seconds(longest), by_size.likely_s, as_seconds(longest))
    seconds = as_seconds(told)
    longest_s = seconds if container.is_counted else max(seconds, by_size.longest_s)
    return Length(seconds, seconds, longest_s, is_exact=True)


def length_by_size(size: int) -> Length:
    """Of a sound of which nothing else is known."""
    most_s = as_seconds(Fraction(size, _FEWEST_BYTES_A_SECOND))
    return Length(most_s, as_seconds(Fraction(size, _LIKELY_BYTES_A_SECOND)), most_s)
