"""Secrets at rest: encrypted under a key made from SECRET_KEY."""

import base64
import hashlib

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


def _fernet(purpose: str) -> MultiFernet:
    """New secrets under SECRET_KEY; old ones are read under the keys it replaced, too."""
    keys = [settings.SECRET_KEY, *settings.SECRET_KEY_FALLBACKS]
    return MultiFernet([Fernet(_derived(key, purpose)) for key in keys])


def _derived(key: str | bytes, purpose: str) -> bytes:
    secret = key.encode() if isinstance(key, str) else key
    digest = hashlib.sha256(f"agentflare.{purpose}:".encode() + secret).digest()
    return base64.urlsafe_b64encode(digest)
