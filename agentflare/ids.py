"""Identifiers: request ids that sort by time, and random codes."""

import os
import secrets
import time
from datetime import datetime
from uuid import UUID

BASE62 = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
BASE36 = "0123456789abcdefghijklmnopqrstuvwxyz"


def uuid7() -> UUID:
    """A UUID version 7 (RFC 9562): milliseconds, then 74 random bits.

    Sorted by time, so that usage records are inserted at the end of their index.
    """
    timestamp_ms = time.time_ns() // 1_000_000
    random = int.from_bytes(os.urandom(10), "big")
    value = (timestamp_ms & (2**48 - 1)) << 80
    value |= 0x7 << 76 | ((random >> 68) & 0xFFF) << 64
    value |= 0b10 << 62 | (random & (2**62 - 1))
    return UUID(int=value)


def first_uuid7(moment: datetime) -> UUID:
    """The smallest id that `uuid7` can make in this millisecond: all made before it are smaller."""
    timestamp_ms = int(moment.timestamp() * 1000)
    return UUID(int=max(0, min(timestamp_ms, 2**48 - 1)) << 80)


def random_code(length: int, alphabet: str = BASE62) -> str:
    return "".join(secrets.choice(alphabet) for _ in range(length))


def base62(number: int, length: int) -> str:
    """`number` in base 62, padded with zeros to `length` digits."""
    digits = ""
    for _ in range(length):
        number, digit = divmod(number, 62)
        digits = BASE62[digit] + digits
    return digits
