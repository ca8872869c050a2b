"""What an API key looks like. Pure text: no store is asked.

    oi_ + tenant code (6) + key id (8) + secret (32) + checksum (6)

All base62. The tenant code says where to look; the checksum refuses typos and noise at
no cost. The first 17 characters, up to the key id, are the prefix that people see.
"""

import hashlib
from dataclasses import dataclass
from zlib import crc32

from agentflare.ids import base62, random_code

PREFIX = "oi_"
_TENANT, _KEY_ID, _SECRET, _CHECKSUM = 6, 8, 32, 6
LENGTH = len(PREFIX) + _TENANT + _KEY_ID + _SECRET + _CHECKSUM


@dataclass(frozen=True, slots=True)
class KeyParts:
    tenant_code: str
    key_id: str
    digest: str


def make_key(tenant_code: str) -> str:
    """A new key; 190 bits of it are secret."""
    body = f"{PREFIX}{tenant_code}{random_code(_KEY_ID)}{random_code(_SECRET)}"
    return body + checksum(body)


def parse_key(key: str) -> KeyParts | None:
    """The key's parts and digest; None for anything that cannot be a key."""
    if len(key) != LENGTH or not key.startswith(PREFIX):
        return None
    # The parts become names in Redis: nothing but base62, whatever the checksum says.
    if not (key.isascii() and key[len(PREFIX) :].isalnum()):
        return None
    body = key[:-_CHECKSUM]
    if checksum(body) != key[-_CHECKSUM:]:
        return None
    start = len(PREFIX)
    return KeyParts(
        tenant_code=key[start : start + _TENANT],
        key_id=key[start + _TENANT : start + _TENANT + _KEY_ID],
        digest=digest_key(key),
    )


def checksum(body: str) -> str:
    return base62(crc32(body.encode()), _CHECKSUM)


def digest_key(key: str) -> str:
    """SHA-256, in hex. No salt and no stretching: the secret is random, not chosen."""
    return hashlib.sha256(key.encode()).hexdigest()


def key_prefix(tenant_code: str, key_id: str) -> str:
    """What people see of a key."""
    return f"{PREFIX}{tenant_code}{key_id}"
