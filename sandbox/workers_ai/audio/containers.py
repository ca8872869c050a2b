"""Sound files without a codec: a tone where samples go in as they are, silence elsewhere.

Standard library only. Each is a whole file that players take; none says a word.
"""

import base64
import math
import struct
from array import array
from decimal import Decimal
from functools import lru_cache

from sandbox.workers_ai.audio.sounds import seconds

LABEL = b"sandbox stand-in: no voice"

TONE_HZ = 440
LOUDNESS = 8_000

# How long a text takes to say, a character and at least.
SECONDS_PER_CHARACTER = Decimal("0.06")
LEAST_SECONDS = Decimal("0.3")

WAV_FORMATS = {"linear16": (1, 2), "alaw": (6, 1), "mulaw": (7, 1)}

# What Opus decodes to 20 ms of silence, and AAC to 1,024 samples of it.
SILENT_OPUS_PACKET = b"\xf8\xff\xfe"
SILENT_AAC_BLOCK = bytes((0x00, 0xC8, 0x00, 0x80, 0x23, 0x80))

OPUS_PRE_SKIP = 312


def speaking_time(text: str) -> Decimal:
    """How long the stand-in for a voice takes over a text."""
    return max(LEAST_SECONDS, SECONDS_PER_CHARACTER * len(text))


def make_sound(
    duration_s: Decimal, *, encoding: str, container: str, rate: int
) -> tuple[bytes, Decimal]:
    """A file about `duration_s` long, and how long it is in the end.

    encoding, container: as in Deepgram's API, a pair that goes together.
    """
    samples = max(1, int(duration_s * rate))
    if encoding in WAV_FORMATS:
        raw = tone(encoding, rate, samples)
        is_file = container == "wav"
        return (wav(raw, encoding, rate) if is_file else raw), seconds(samples, rate)
    if encoding == "flac":
        return flac(samples, rate), seconds(samples, rate)
    if encoding == "opus":
        samples = int(duration_s * 48_000)
        return ogg_opus(samples), seconds(samples, 48_000)
    if encoding == "aac":
        frames = -(-samples // 1_024)
        return adts(frames, rate), seconds(1_024 * frames, rate)
    frames = -(-samples // 576)
    return mp3(frames), seconds(576 * frames, 22_050)


# --- Samples as they are ---------------------------------------------------------------------


def tone(encoding: str, rate: int, samples: int) -> bytes:
    loop = tone_loop(encoding, rate)
    size = samples * WAV_FORMATS[encoding][1]
    return (loop * (size // len(loop) + 1))[:size]


@lru_cache(maxsize=16)
def tone_loop(encoding: str, rate: int) -> bytes:
    """A second of tone: a whole number of waves, so that it can be repeated."""
    step = 2 * math.pi * TONE_HZ / rate
    values = [int(LOUDNESS * math.sin(step * i)) for i in range(rate)]
    if encoding == "linear16":
        return struct.pack(f"<{rate}h", *values)
    return bytes(map(mulaw if encoding == "mulaw" else alaw, values))


def mulaw(sample: int) -> int:
    """One sample by ITU-T G.711."""
    sign = 0x80 if sample < 0 else 0
    magnitude = min(abs(sample), 32_635) + 132
    exponent = magnitude.bit_length() - 8
    mantissa = magnitude >> exponent + 3 & 0x0F
    return ~(sign | exponent << 4 | mantissa) & 0xFF


def alaw(sample: int) -> int:
    """One sample by ITU-T G.711."""
    sign = 0x80 if sample >= 0 else 0
    magnitude = min(abs(sample), 32_767) >> 3
    if magnitude < 32:
        value = magnitude >> 1
    else:
        exponent = magnitude.bit_length() - 5
        value = exponent << 4 | magnitude >> exponent & 0x0F
    return (sign | value) ^ 0x55


def wav(raw: bytes, encoding: str, rate: int) -> bytes:
    code, width = WAV_FORMATS[encoding]
    head = struct.pack("<HHIIHH", code, 1, rate, rate * width, width, 8 * width)
    label = LABEL + b"\0" * (len(LABEL) % 2)
    info = b"INFOICMT" + struct.pack("<I", len(label)) + label
    body = _riff(b"fmt ", head) + _riff(b"LIST", info) + _riff(b"data", raw)
    return b"RIFF" + struct.pack("<I", 4 + len(body)) + b"WAVE" + body


def _riff(kind: bytes, content: bytes) -> bytes:
    return kind + struct.pack("<I", len(content)) + content + b"\0" * (len(content) % 2)


# --- Silence ---------------------------------------------------------------------------------


def mp3(frames: int) -> bytes:
    """MPEG-2 layer III, mono, 22,050 Hz, 32 kbit/s, behind a tag with our label."""
    comment = b"\x03" + b"TXXX\0" + LABEL
    tag = b"TXXX" + struct.pack(">I", len(comment)) + b"\0\0" + comment
    size = bytes(len(tag) >> shift & 0x7F for shift in (21, 14, 7, 0))
    frame = bytes((0xFF, 0xF3, 0x40, 0xC0)).ljust(104, b"\0")
    return b"ID3\x04\0\0" + size + tag + frame * frames


def adts(frames: int, rate: int) -> bytes:
    rates = (96_000, 88_200, 64_000, 48_000, 44_100, 32_000, 24_000, 22_050, 16_000, 12_000)
    length = 7 + len(SILENT_AAC_BLOCK)
    packed = 0xFFF1 << 40 | 1 << 38 | rates.index(rate) << 34 | 1 << 30 | length << 13 | 0x7FF << 2
    return (packed.to_bytes(7, "big") + SILENT_AAC_BLOCK) * frames


def flac(samples: int, rate: int) -> bytes:
    """Every frame one value, repeated: zero."""
    block = 4_096
    info = struct.pack(">HH", block, block) + bytes(6)
    info += (rate << 44 | 0 << 41 | 15 << 36 | samples).to_bytes(8, "big") + bytes(16)
    vendor = struct.pack("<I", len(LABEL)) + LABEL + struct.pack("<I", 0)
    parts = [b"fLaC", b"\x00" + len(info).to_bytes(3, "big") + info]
    parts.append(b"\x84" + len(vendor).to_bytes(3, "big") + vendor)
    for number, start in enumerate(range(0, samples, block)):
        size = min(block, samples - start)
        is_whole = size == block
        head = bytes((0xFF, 0xF8, 0xC0 if is_whole else 0x70, 0x00)) + chr(number).encode()
        head += b"" if is_whole else struct.pack(">H", size - 1)
        frame = head + bytes([_crc(head, 8, 0x07)]) + bytes(3)
        parts.append(frame + struct.pack(">H", _crc(frame, 16, 0x8005)))
    return b"".join(parts)


def _crc(content: bytes, bits: int, polynomial: int) -> int:
    top, mask, value = 1 << bits - 1, (1 << bits) - 1, 0
    for byte in content:
        value ^= byte << bits - 8
        for _ in range(8):
            value = (value << 1 ^ polynomial if value & top else value << 1) & mask
    return value


def ogg_opus(samples: int) -> bytes:
    """samples: at 48 kHz. A page a second."""
    head = b"OpusHead" + struct.pack("<BBHIhB", 1, 1, OPUS_PRE_SKIP, 48_000, 0, 0)
    tags = b"OpusTags" + struct.pack("<I", len(LABEL)) + LABEL + struct.pack("<I", 0)
    pages = [_ogg_page([head], 0, 0, flags=2), _ogg_page([tags], 1, 0, flags=0)]
    packets = -(-(samples + OPUS_PRE_SKIP) // 960)
    for start in range(0, packets, 50):
        count = min(50, packets - start)
        is_last = start + count == packets
        granule = samples + OPUS_PRE_SKIP if is_last else 960 * (start + count)
        flags = 4 if is_last else 0
        page = _ogg_page([SILENT_OPUS_PACKET] * count, len(pages), granule, flags=flags)
        pages.append(page)
    return b"".join(pages)


def _ogg_page(packets: list[bytes], number: int, granule: int, *, flags: int) -> bytes:
    table = bytes(len(packet) for packet in packets)
    head = struct.pack("<4sBBQII", b"OggS", 0, flags, granule, 1, number)
    tail = bytes([len(table)]) + table + b"".join(packets)
    checksum = _ogg_checksum(head + bytes(4) + tail)
    return head + struct.pack("<I", checksum) + tail


@lru_cache(maxsize=1)
def _ogg_table() -> "array[int]":
    return array("L", (_crc(bytes([byte]), 32, 0x04C11DB7) for byte in range(256)))


def _ogg_checksum(content: bytes) -> int:
    table, value = _ogg_table(), 0
    for byte in content:
        value = (value << 8 ^ table[value >> 24 ^ byte]) & 0xFFFFFFFF
    return value


def as_base64(content: bytes) -> str:
    return base64.b64encode(content).decode()
