"""What a sound file says of itself: its format and how long it is. Standard library only."""

import re
import struct
from dataclasses import dataclass
from decimal import Decimal

# Bytes a second of formats whose length is nowhere written; about that of speech in them.
ESTIMATED_RATE = {"webm": 4_000, "aac": 4_000, "amr": 1_600, "mp4": 4_000, "ogg": 4_000}

MP3_RATES = {
    3: (0, 32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320),
    2: (0, 8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160),
}
MP3_HERTZ = {3: (44_100, 48_000, 32_000), 2: (22_050, 24_000, 16_000), 0: (11_025, 12_000, 8_000)}


@dataclass(frozen=True)
class Sound:
    """is_estimate: the file doesn't say how long it is, and was judged by its size."""

    form: str
    duration_s: Decimal
    is_estimate: bool = False


def read_sound(content: bytes) -> Sound | None:
    """None for what is no sound that anybody knows."""
    for form, is_it, measure in FORMATS:
        if is_it(content):
            duration_s = measure(content)
            if duration_s is not None:
                return Sound(form, duration_s)
            return Sound(form, Decimal(len(content)) / ESTIMATED_RATE.get(form, 16_000), True)
    return None


def seconds(samples: int, rate: int) -> Decimal:
    """To a whole microsecond: what is told and what is billed are the same figure."""
    if rate <= 0:
        return Decimal(0)
    return (Decimal(samples) / rate).quantize(Decimal("0.000001")).normalize()


def wav_seconds(content: bytes) -> Decimal | None:
    """From the header; a stream's header, which can't know, is read as "to the end"."""
    byte_rate, at = 0, 12
    while at + 8 <= len(content):
        kind, size = content[at : at + 4], int.from_bytes(content[at + 4 : at + 8], "little")
        if kind == b"fmt " and at + 20 <= len(content):
            byte_rate = int.from_bytes(content[at + 16 : at + 20], "little")
        if kind == b"data":
            left = len(content) - at - 8
            return seconds(min(size, left), byte_rate) if byte_rate else None
        at += 8 + size + size % 2
    return None


def flac_seconds(content: bytes) -> Decimal | None:
    packed = int.from_bytes(content[18:26], "big")
    rate, samples = packed >> 44, packed & (1 << 36) - 1
    return seconds(samples, rate) if rate and samples else None


def ogg_seconds(content: bytes) -> Decimal | None:
    last = content.rfind(b"OggS")
    end = int.from_bytes(content[last + 6 : last + 14], "little")
    if (opus := content.find(b"OpusHead")) >= 0:
        pre_skip = int.from_bytes(content[opus + 10 : opus + 12], "little")
        return seconds(max(0, end - pre_skip), 48_000)
    if (vorbis := content.find(b"\x01vorbis")) >= 0:
        return seconds(end, int.from_bytes(content[vorbis + 12 : vorbis + 16], "little"))
    return None


def mp3_seconds(content: bytes) -> Decimal | None:
    """Frame by frame."""
    at = 0
    if content.startswith(b"ID3") and len(content) > 10:
        size = 0
        for byte in content[6:10]:
            size = size << 7 | byte & 0x7F
        at = 10 + size
    samples, hertz = 0, 0
    while at + 4 <= len(content):
        header = int.from_bytes(content[at : at + 4], "big")
        version, rate_index, hertz_index = header >> 19 & 3, header >> 12 & 15, header >> 10 & 3
        is_frame = header >> 21 == 0x7FF and header >> 17 & 3 == 1 and version != 1
        if not is_frame or rate_index in (0, 15) or hertz_index == 3:
            break
        hertz = MP3_HERTZ[version][hertz_index]
        bits_per_s = 1_000 * MP3_RATES[3 if version == 3 else 2][rate_index]
        per_frame = 1_152 if version == 3 else 576
        at += per_frame // 8 * bits_per_s // hertz + (header >> 9 & 1)
        samples += per_frame
    return seconds(samples, hertz) if samples else None


def adts_seconds(content: bytes) -> Decimal | None:
    rates = (96, 88.2, 64, 48, 44.1, 32, 24, 22.05, 16, 12, 11.025, 8, 7.35)
    at, frames, hertz = 0, 0, 0
    while at + 7 <= len(content) and content[at] == 0xFF and content[at + 1] & 0xF6 == 0xF0:
        index = content[at + 2] >> 2 & 15
        length = int.from_bytes(content[at + 3 : at + 6], "big") >> 5 & 0x1FFF
        if index >= len(rates) or length < 7:
            break
        hertz, frames, at = int(rates[index] * 1_000), frames + 1, at + length
    return seconds(1_024 * frames, hertz) if frames else None


def mp4_seconds(content: bytes) -> Decimal | None:
    at = content.find(b"mvhd")
    if at < 0:
        return None
    at += 4
    if content[at] == 1:
        scale, length = struct.unpack(">IQ", content[at + 20 : at + 32])
    else:
        scale, length = struct.unpack(">II", content[at + 12 : at + 20])
    return seconds(length, scale) if length else None


def webm_seconds(content: bytes) -> Decimal | None:
    """The element Duration, in milliseconds unless a file says otherwise; recordings lack it."""
    found = re.search(rb"\x44\x89([\x84\x88])", content[:4_096])
    if found is None:
        return None
    size = found[1][0] - 0x80
    value = content[found.end() : found.end() + size]
    (milliseconds,) = struct.unpack(">f" if size == 4 else ">d", value)
    return Decimal(str(milliseconds)) / 1_000


def _is_mp3(content: bytes) -> bool:
    is_frame = content[:1] == b"\xff" and content[1:2] in (
        b"\xfb",
        b"\xfa",
        b"\xf3",
        b"\xf2",
        b"\xe3",
    )
    return is_frame or content.startswith(b"ID3")


FORMATS = (
    ("wav", lambda c: c[:4] == b"RIFF" and c[8:12] == b"WAVE", wav_seconds),
    ("flac", lambda c: c.startswith(b"fLaC"), flac_seconds),
    ("ogg", lambda c: c.startswith(b"OggS"), ogg_seconds),
    ("aac", lambda c: c[:2] in (b"\xff\xf1", b"\xff\xf9"), adts_seconds),
    ("mp3", _is_mp3, mp3_seconds),
    ("mp4", lambda c: c[4:8] == b"ftyp", mp4_seconds),
    ("webm", lambda c: c.startswith(b"\x1aE\xdf\xa3"), webm_seconds),
    ("amr", lambda c: c.startswith(b"#!AMR"), lambda c: None),
)
