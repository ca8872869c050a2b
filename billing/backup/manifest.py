"""What a backup says of itself: `manifest.json`, written last, so that one that has it is whole."""

import hashlib
import hmac
import json
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

from django.conf import settings

from billing.archive.files import digest_of
from billing.backup.errors import BackupError
from billing.backup.snapshot import Books
from tenants.registry.schemas import disk_migrations

NAME = "manifest.json"
FORMAT = 1
_PURPOSE = b"agentflare.backup"


@dataclass(frozen=True, slots=True)
class Part:
    """A file of the backup. schemas: those that a dump has."""

    file: str
    size_bytes: int
    sha256: str
    schemas: Sequence[str] = ()


@dataclass(frozen=True, slots=True)
class Manifest:
    """made_at: when it began, in ISO 8601: calls that had ended by then are in it.

    migrations: `app.name` of all that the database had, which is what decides whether a release
    fits. secret_key: tells whether another SECRET_KEY is the same one.
    """

    backup_id: str
    made_at: str
    postgresql: int
    migrations: Sequence[str]
    secret_key: str
    parts: Sequence[Part]
    books: Sequence[Books]
    has_calls: bool
    has_archives: bool
    kind: str = "installation"
    format: int = FORMAT
    facts: dict[str, Any] = field(default_factory=dict)

    @property
    def credit_nusd(self) -> int:
        return sum(books.accounts.get("credit", 0) for books in self.books)

    def write(self, path: Path) -> None:
        path.write_text(json.dumps(asdict(self), indent=1) + "\n", encoding="utf-8")

    @classmethod
    def loads(cls, text: str | bytes, *, name: str, kind: str) -> "Manifest":
        """Raises BackupError for anything that is not one of this kind and form."""
        try:
            fields = json.loads(text)
            form, its_kind = fields["format"], fields["kind"]
        except (ValueError, KeyError, TypeError):
            raise BackupError(f"{name} is no manifest of a backup.") from None
        if form != FORMAT:
            raise BackupError(
                f"{name} is of form {form}, and this release reads form {FORMAT}: restore it with "
                "the release that made it."
            )
        if its_kind != kind:
            command = "restore" if its_kind == "installation" else "restore_tenant"
            raise BackupError(f"{name} is of one {its_kind}: `manage.py {command}` takes it.")
        try:
            parts = [Part(**part) for part in fields.pop("parts")]
            books = [Books(**each) for each in fields.pop("books")]
            return cls(parts=parts, books=books, **fields)
        except (KeyError, TypeError):
            raise BackupError(f"{name} is no manifest of a backup.") from None

    @classmethod
    def read(cls, folder: Path) -> "Manifest":
        path = folder / NAME
        try:
            text = path.read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError):
            raise BackupError(
                f"{folder} is no backup that was finished: it has no {NAME} that can be read."
            ) from None
        return cls.loads(text, name=str(path), kind="installation")

    def require_this_release(self) -> None:
        """Raises BackupError where the code has other migrations than the backup's database."""
        ours, theirs = set(migrations_of_code()), set(self.migrations)
        if unknown := theirs - ours:
            raise BackupError(
                f"This backup is of a newer release: it has {_some(unknown)}, which this one does "
                "not know. Restore it with the release that made it, or a newer one."
            )
        if missing := ours - theirs:
            raise BackupError(
                f"This backup is of an earlier release: it lacks {_some(missing)}. Restore it with "
                "the release that made it, then install this one and run `manage.py upgrade`."
            )

    def has_our_secret_key(self) -> bool:
        keys = [settings.SECRET_KEY, *settings.SECRET_KEY_FALLBACKS]
        return any(hmac.compare_digest(self.secret_key, key_mark(key)) for key in keys)


def key_mark(secret_key: str) -> str:
    """Tells keys apart, and nothing of what they are."""
    return hmac.new(secret_key.encode(), _PURPOSE, hashlib.sha256).hexdigest()


@cache
def migrations_of_code() -> tuple[str, ...]:
    return tuple(sorted(f"{app}.{name}" for app, name in disk_migrations()))


def part_of(folder: Path, name: str, schemas: Sequence[str] = ()) -> Part:
    path = folder / name
    return Part(name, path.stat().st_size, digest_of(path), list(schemas))


def _some(names: Iterable[str]) -> str:
    first, *rest = sorted(names)
    return f"{first} and {len(rest)} more migrations" if rest else f"the migration {first}"
