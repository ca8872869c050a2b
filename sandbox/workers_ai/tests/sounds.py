"""Sound for tests."""

import struct

from sandbox.workers_ai.tests.client import script


def wav(seconds: float, *, rate: int = 8_000, samples: bytes | None = None) -> bytes:
    """16-bit mono; silent unless samples are given."""
    raw = bytes(2 * int(seconds * rate)) if samples is None else samples
    head = struct.pack("<HHIIHH", 1, 1, rate, 2 * rate, 2, 16)
    body = b"fmt " + struct.pack("<I", 16) + head + b"data" + struct.pack("<I", len(raw)) + raw
    return b"RIFF" + struct.pack("<I", 4 + len(body)) + b"WAVE" + body


def with_script(sound: bytes, **keys: object) -> bytes:
    """A directive behind the sound."""
    return sound + script("", **keys).encode()


def with_comment(sound: bytes, **keys: object) -> bytes:
    """A directive in a WAV file's LIST/INFO chunk, before the sound."""
    text = script("", **keys).encode()
    text += b"\0" * (len(text) % 2)
    info = b"INFOICMT" + struct.pack("<I", len(text)) + text
    chunk = b"LIST" + struct.pack("<I", len(info)) + info
    body = sound[12:36] + chunk + sound[36:]
    return b"RIFF" + struct.pack("<I", 4 + len(body)) + b"WAVE" + body
