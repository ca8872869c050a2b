"""The mails, each a file: they outlive the process, and the oldest give way."""

import email.policy
from dataclasses import dataclass
from datetime import UTC, datetime
from email.message import EmailMessage
from email.parser import BytesParser
from pathlib import Path
from typing import Any

KEPT = 300


@dataclass(frozen=True)
class Mail:
    """number: counts up from 1. at: when we got it."""

    number: int
    at: datetime
    sender: str
    recipients: list[str]
    subject: str
    text: str
    html: str

    def as_json(self) -> dict[str, Any]:
        return {**vars(self), "at": self.at.isoformat()}


class Store:
    def __init__(self, folder: Path) -> None:
        self.folder = folder
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        numbers = [self._number(path) for path in self._paths()]
        self._last = max(numbers, default=0)

    def add(self, sender: str, recipients: list[str], raw: bytes) -> int:
        """Keep a mail as it came, with its envelope in front. Returns its number."""
        self._last += 1
        envelope = f"X-Envelope-From: {sender}\r\nX-Envelope-To: {', '.join(recipients)}\r\n"
        unfinished = self.folder / ".unfinished"
        unfinished.write_bytes(envelope.encode("utf-8", "replace") + raw)
        unfinished.replace(self.folder / f"{self._last:08}.eml")
        for path in sorted(self._paths())[:-KEPT]:
            path.unlink(missing_ok=True)
        return self._last

    def mails(self) -> list[Mail]:
        """Newest first."""
        return [self._read(path) for path in sorted(self._paths(), reverse=True)]

    def mail(self, number: int) -> Mail | None:
        path = self.folder / f"{number:08}.eml"
        return self._read(path) if path.exists() else None

    def clear(self) -> None:
        for path in self._paths():
            path.unlink(missing_ok=True)

    def _paths(self) -> list[Path]:
        return list(self.folder.glob("*.eml"))

    def _number(self, path: Path) -> int:
        return int(path.stem) if path.stem.isdecimal() else 0

    def _read(self, path: Path) -> Mail:
        message = BytesParser(policy=email.policy.default).parsebytes(path.read_bytes())
        assert isinstance(message, EmailMessage)
        return Mail(
            number=self._number(path),
            at=datetime.fromtimestamp(path.stat().st_mtime, UTC),
            sender=str(message["From"] or message["X-Envelope-From"]),
            recipients=[to.strip() for to in str(message["X-Envelope-To"]).split(",")],
            subject=str(message["Subject"] or "(no subject)"),
            text=part(message, "plain"),
            html=part(message, "html"),
        )


def part(message: EmailMessage, kind: str) -> str:
    """The mail's text of this kind, or nothing."""
    body = message.get_body(preferencelist=(kind,))
    if body is None:
        return ""
    try:
        return str(body.get_content())
    except (LookupError, UnicodeError):
        # A character set that nobody knows.
        payload = body.get_payload(decode=True)
        return payload.decode("utf-8", "replace") if isinstance(payload, bytes) else ""
