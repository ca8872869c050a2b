"""Second factors at rest: what of them is secret is encrypted."""

from typing import Any

from allauth.mfa.models import Authenticator
from django.db import transaction

from agentflare.secrets import Renewal

PURPOSE = "second-factors"
# Of an authenticator app, and of recovery codes. A passkey's public key is no secret.
_SECRETS = ("secret", "seed")


@transaction.atomic
def renew_secrets(renewal: Renewal) -> None:
    """Bring them under SECRET_KEY; safe to run twice."""
    rows = Authenticator.objects.exclude(type=Authenticator.Type.WEBAUTHN)
    for row in rows.select_for_update().order_by("pk"):
        renewed = {**row.data, **_renewed(row.data, renewal)}
        if renewed != row.data:
            row.data = renewed
            row.save(update_fields=["data"])


def _renewed(data: dict[str, Any], renewal: Renewal) -> dict[str, Any]:
    renewed: dict[str, Any] = {
        name: renewal.renew(data[name], purpose=PURPOSE) for name in _SECRETS if name in data
    }
    if codes := data.get("migrated_codes"):
        renewed["migrated_codes"] = [renewal.renew(code, purpose=PURPOSE) for code in codes]
    return renewed
