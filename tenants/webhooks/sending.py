"""One POST to a tenant's server: to the public internet alone, never redirected."""

import time
from dataclasses import asdict, dataclass
from http.client import HTTPException
from typing import Any

from django.conf import settings
from django.utils import timezone

from agentflare.outside.request import (
    Deadline,
    OutsideError,
    Target,
    as_outside_error,
    public_addresses,
    send,
)
from tenants.webhooks import signing

_TIMEOUT_S = 10.0
_ANSWER_BYTES = 1024


@dataclass(frozen=True, slots=True)
class Attempt:
    """status: of the answer; None: there was none, and `error` says why. answer: its beginning."""

    at: str
    ms: int
    status: int | None
    error: str
    answer: str

    @classmethod
    def impossible(cls, error: str) -> "Attempt":
        return cls(timezone.now().isoformat(timespec="seconds"), 0, None, error, "")

    @property
    def is_success(self) -> bool:
        return self.status is not None and 200 <= self.status < 300

    @property
    def is_gone(self) -> bool:
        """The server wants to hear no more."""
        return self.status == 410

    def as_dict(self) -> dict[str, Any]:
        return asdict(self)


def check_url(url: str, *, timeout_s: float = 3.0) -> None:
    """Raises OutsideError for a URL that nothing would be sent to."""
    target = Target.of_private(url)
    public_addresses(target, Deadline(timeout_s), settings.WEBHOOK_ALLOWED_NETWORKS)


def post(*, url: str, secrets: list[str], event_id: str, body: bytes) -> Attempt:
    """Never raises: what goes wrong is the attempt's error."""
    deadline, began = Deadline(_TIMEOUT_S), time.monotonic()
    at = timezone.now()
    status, error, answer = None, "", b""
    try:
        headers = signing.headers(
            secrets=secrets, event_id=event_id, timestamp=int(at.timestamp()), body=body
        )
        with send(
            Target.of_private(url),
            deadline,
            method="POST",
            headers=headers,
            body=body,
            allowed=settings.WEBHOOK_ALLOWED_NETWORKS,
        ) as response:
            deadline.left_s()
            status = response.status
            answer = response.read(_ANSWER_BYTES)
            if 300 <= status < 400:
                error = "Redirects are not followed: give the address that answers itself."
    except OutsideError as exc:
        error = str(exc)
    except (OSError, HTTPException, ValueError) as exc:
        error = "" if status else str(as_outside_error(exc, deadline))
    return Attempt(
        at=at.isoformat(timespec="seconds"),
        ms=round((time.monotonic() - began) * 1000),
        status=status,
        error=error[:1].upper() + error[1:],
        answer=answer.decode(errors="replace").replace("\0", "�"),
    )
