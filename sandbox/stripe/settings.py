"""What one stand-in process is told when it starts."""

from dataclasses import dataclass
from pathlib import Path

# The version that the `stripe` package in requirements.txt pins; a test compares them.
API_VERSION = "2026-10-28.endive"


@dataclass(frozen=True, kw_only=True)
class Settings:
    """Command line options and environment, see `python -m sandbox.stripe --help`.

    webhook_url: where events go from the start; none: nowhere until an endpoint is made.
    file: the journal of everything that was told; none: gone with the process.
    retry_first_s: wait before the first repeat of a webhook, doubled each time.
    dispute_delay_s: from a payment with a card that is disputed to its dispute.
    """

    secret_key: str
    webhook_secret: str
    host: str = "127.0.0.1"
    port: int = 0
    webhook_url: str = ""
    file: Path | None = None
    retry_first_s: float = 1.0
    dispute_delay_s: float = 20.0
