"""API tokens at rest: encrypted under a key made from SECRET_KEY."""

from agentflare import secrets
from agentflare.errors import GatewayError

_PURPOSE = "upstreams.secrets"


class UnreadableSecretError(GatewayError):
    """Encrypted under another SECRET_KEY."""


def encrypt(secret: str) -> str:
    return secrets.encrypt(secret, purpose=_PURPOSE) if secret else ""


def decrypt(encrypted: str) -> str:
    """Raises UnreadableSecretError."""
    if not encrypted:
        return ""
    try:
        return secrets.decrypt(encrypted, purpose=_PURPOSE)
    except secrets.ForeignSecretError:
        raise UnreadableSecretError(
            "The API token was stored under another SECRET_KEY: set it again."
        ) from None
