"""Secrets at rest: encrypted under a key made from SECRET_KEY."""

import base64
import hashlib
from dataclasses import dataclass

from cryptography.fernet import Fernet, InvalidToken, MultiFernet
from django.conf import settings


class ForeignSecretError(Exception):
    """Encrypted under another SECRET_KEY, or for another purpose."""


def encrypt(secret: str, *, purpose: str) -> str:
    return _fernet(purpose).encrypt(secret.encode()).decode()


def decrypt(encrypted: str, *, purpose: str) -> str:
    """Raises ForeignSecretError."""
    try:
        return _fernet(purpose).decrypt(encrypted.encode()).decode()
    except InvalidToken:
        raise ForeignSecretError from None


@dataclass
class Renewal:
    """What is under a key that SECRET_KEY replaced comes under SECRET_KEY; how many of each.

    unreadable: under no key that is known. They stay as they are.
    """

    renewed: int = 0
    current: int = 0
    unreadable: int = 0

    def renew(self, encrypted: str, *, purpose: str) -> str:
        """What is to be kept in its place: itself, unless it was renewed."""
        if not encrypted:
            return encrypted
        try:
            _fernets(purpose)[0].decrypt(encrypted.encode())
        except InvalidToken:
            return self._under_the_new_key(encrypted, purpose)
        self.current += 1
        return encrypted

    def _under_the_new_key(self, encrypted: str, purpose: str) -> str:
        try:
            renewed = _fernet(purpose).rotate(encrypted.encode()).decode()
        except InvalidToken:
            self.unreadable += 1
            return encrypted
        self.renewed += 1
        return renewed


def _fernet(purpose: str) -> MultiFernet:
    """New secrets under SECRET_KEY; old ones are read under the keys it replaced, too."""
    return MultiFernet(_fernets(purpose))


def _fernets(purpose: str) -> list[Fernet]:
    keys = [settings.SECRET_KEY, *settings.SECRET_KEY_FALLBACKS]
    return [Fernet(_derived(key, purpose)) for key in keys]


def _derived(key: str | bytes, purpose: str) -> bytes:
    secret = key.encode() if isinstance(key, str) else key
    digest = hashlib.sha256(f"agentflare.{purpose}:".encode() + secret).digest()
    return base64.urlsafe_b64encode(digest)
