"""API tokens at rest: encrypted under a key made from SECRET_KEY."""

from django.db import transaction

from agentflare import secrets
from agentflare.errors import GatewayError
from inference.upstreams.models import Upstream

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


@transaction.atomic
def renew_secrets(renewal: secrets.Renewal) -> None:
    """Bring all tokens under SECRET_KEY; safe to run twice."""
    for row in Upstream.objects.select_for_update().order_by("pk"):
        secret = renewal.renew(row.secret, purpose=_PURPOSE)
        if secret != row.secret:
            Upstream.objects.filter(pk=row.pk).update(secret=secret)
