"""Read-only and paused: an operator's switch, obeyed by every process within a second.

read_only: pages are read, calls are served and settled, and nothing that people or programs have
set up can be changed. paused: new calls are refused, too; those that run go on to their end.

It ends by hand, not by itself: the time that is told is what people can expect.
"""

import time
from dataclasses import dataclass
from datetime import UTC, datetime

import orjson
from django.db import transaction

from agentflare.redis_store import RedisDownError, get_redis
from tenants.announcements.models import Maintenance
from tenants.audit.services import Actor
from tenants.operators.services import record

_KEY = "maintenance"
_BELIEVED_S = 0.5
_RETRY_AFTER_S = 30.0


@dataclass(frozen=True, slots=True)
class State:
    """message: for those whom it concerns. ends_at: seconds since 1970; 0: nobody knows."""

    mode: str = Maintenance.Mode.OFF
    message: str = ""
    ends_at: float = 0.0

    @property
    def is_on(self) -> bool:
        return self.mode != Maintenance.Mode.OFF

    @property
    def is_paused(self) -> bool:
        return self.mode == Maintenance.Mode.PAUSED

    @property
    def ends(self) -> datetime | None:
        return datetime.fromtimestamp(self.ends_at, tz=UTC) if self.ends_at else None

    @property
    def told(self) -> str:
        """In a sentence."""
        what = "New calls are refused" if self.is_paused else "Nothing can be changed"
        until = f" until about {self.ends:%Y-%m-%d %H:%M} UTC" if self.ends else ""
        because = f": {self.message.rstrip('.')}" if self.message else ""
        return f"{what} at the moment{until}{because}."

    @property
    def retry_after_s(self) -> float:
        """Half a minute where the end is near, past or unknown."""
        return max(_RETRY_AFTER_S, min(self.ends_at - time.time(), 3600.0))


_OFF = State()
_current = _OFF
_read_at = -1e9


def current() -> State:
    """As this process knows it. While Redis is down, as it was before."""
    global _current, _read_at
    now = time.monotonic()
    if now - _read_at > _BELIEVED_S:
        # First, so that not all greenlets ask at once.
        _read_at = now
        try:
            text = get_redis().get(_KEY)
        except RedisDownError:
            return _current
        _current = State(*orjson.loads(text)) if text else _OFF
    return _current


def forget() -> None:
    """Ask Redis at the next call."""
    global _read_at
    _read_at = -1e9


def change(
    *, mode: str, message: str = "", ends_at: datetime | None = None, reason: str, actor: Actor
) -> Maintenance:
    """Raises RedisDownError when it stands in PostgreSQL, and processes learn of it within a
    minute after Redis is back."""
    with transaction.atomic():
        row = latest()
        before = row.mode
        row.mode, row.message, row.ends_at = mode, message, ends_at
        row.save()
        record(
            actor=actor,
            action="maintenance.changed",
            reason=reason,
            mode=[before, mode],
            message=message,
            ends_at=ends_at.isoformat() if ends_at else None,
        )
    publish()
    return row


def latest() -> Maintenance:
    """The row; made where there is none. Inside a transaction it is locked."""
    rows = Maintenance.objects.order_by("pk")
    if transaction.get_connection().in_atomic_block:
        rows = rows.select_for_update()
    return rows.first() or Maintenance.objects.create()


def publish() -> None:
    """Tell Redis what PostgreSQL has. Repeats change nothing. Raises RedisDownError."""
    row = latest()
    if row.mode == Maintenance.Mode.OFF:
        get_redis().delete(_KEY)
    else:
        ends_at = row.ends_at.timestamp() if row.ends_at else 0.0
        get_redis().set(_KEY, orjson.dumps([row.mode, row.message, ends_at]))
    forget()
