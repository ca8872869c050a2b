"""API tokens at rest: encrypted under a key made from SECRET_KEY."""

import base64
import hashlib

from cryptography.fernet import Fernet, InvalidToken, MultiFernet
from django.conf import settings

from agentflare.errors import GatewayError


class UnreadableSecretError(GatewayError):
    """Encrypted under another SECRET_KEY."""


def encrypt(secret: str) -> str:
    return _fernet().encrypt(secret.encode()).decode() if secret else ""


def decrypt(encrypted: str) -> str:
    """Raises UnreadableSecretError."""
    if not encrypted:
        return ""
    try:
        return _fernet().decrypt(encrypted.encode()).decode()
    except InvalidToken:
        raise UnreadableSecretError(
            "The API token was stored under another SECRET_KEY: set it again."
        ) from None


def _fernet() -> MultiFernet:
    """New secrets under SECRET_KEY; old ones are read under the keys it replaced, too."""
    keys = [settings.SECRET_KEY, *settings.SECRET_KEY_FALLBACKS]
    return MultiFernet([Fernet(_derived(key)) for key in keys])


def _derived(key: str | bytes) -> bytes:
    secret = key.encode() if isinstance(key, str) else key
    digest = hashlib.sha256(b"agentflare.upstreams.secrets:" + secret).digest()
    return base64.urlsafe_b64encode(digest)
