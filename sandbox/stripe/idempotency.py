"""Idempotency keys: the same call again gets the same answer, and nothing is done twice."""

import hashlib
import json
from typing import Any

from sandbox.stripe.errors import IdempotencyError, InvalidRequestError, KeyInUseError
from sandbox.stripe.store import Object, Unit

KIND = "sandbox.idempotency_key"

LONGEST_KEY = 255

# Stripe may forget a key after this, and then takes it for a new one.
KEPT_S = 24 * 3600


class Keys:
    """Which keys are being worked on; their answers are kept in the store."""

    def __init__(self) -> None:
        self.in_use: set[str] = set()

    def take(self, unit: Unit, key: str, path: str, form: dict[str, Any]) -> Object | None:
        """The answer given before, or none: then the key is in use until `release`.

        Raises IdempotencyError for other parameters, KeyInUseError while it is in use.
        """
        if len(key) > LONGEST_KEY:
            raise InvalidRequestError(
                f"Idempotency key is too long; it must be at most {LONGEST_KEY} characters."
            )
        if key in self.in_use:
            raise KeyInUseError(key)
        known = unit.find(KIND, key)
        if known is None or known["created"] < unit.now - KEPT_S:
            self.in_use.add(key)
            return None
        if known["path"] != path:
            raise IdempotencyError(
                "Keys for idempotent requests can only be used for the same endpoint they were "
                f"first used for ('{path}' vs '{known['path']}'). Try using a key other than "
                f"'{key}' if you meant to execute a different request."
            )
        if known["form"] != digest(form):
            raise IdempotencyError(
                "Keys for idempotent requests can only be used with the same parameters they were "
                f"first used with. Try using a key other than '{key}' if you meant to execute a "
                "different request."
            )
        return known

    def release(self, key: str | None) -> None:
        self.in_use.discard(key or "")


def remember(
    unit: Unit, key: str, path: str, form: dict[str, Any], *, status: int, body: Any
) -> None:
    """Within the same commit as what the call did."""
    unit.keep(
        {
            "id": key,
            "object": KIND,
            "created": unit.now,
            "path": path,
            "form": digest(form),
            "status": status,
            "body": body,
            "request": unit.request["id"],
        }
    )


def digest(form: dict[str, Any]) -> str:
    return hashlib.sha256(json.dumps(form, sort_keys=True).encode()).hexdigest()
