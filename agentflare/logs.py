"""Log lines that can be searched: one line each, with what they belong to, and without secrets.

JSON for machines (LOG_FORMAT=json), or text for people. Every line of a request has its id, and
its tenant and API key once they are known; every line of a task has the task, and the request that
caused it. What callers send cannot begin a line of its own: control characters are escaped.
"""

import logging
import re
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from datetime import UTC, datetime
from typing import Any

import orjson

from agentflare import env

_context: ContextVar[dict[str, str] | None] = ContextVar("agentflare_logs", default=None)
_SECRETS = re.compile(
    r"oi_[0-9A-Za-z]{12,}"
    r"|(?i:bearer)\s+[^\s'\",]+"
    r"|(?:sk|rk)_(?:live|test)_[0-9A-Za-z]+"
    r"|whsec_[0-9A-Za-z+/=_-]+"
)
# In a URL: user:password@host.
_URL_PASSWORDS = re.compile(r"(?<=://)([^\s:/@'\"]*):[^\s/@'\"]+@")
# What this deployment is configured with is no secret by its form.
_CONFIGURED = re.compile(
    "|".join(re.escape(value) for value in env.secrets() if len(value) >= 12) or r"(?!)"
)
_CONTROL = re.compile(r"[\x00-\x1f\x7f\x85\u2028\u2029]")
# Beyond this a line is cut: no log is a place for a document.
_LONGEST = 8_000
# What a record has by itself; all else was given by `extra`.
_OWN = frozenset(logging.makeLogRecord({}).__dict__) | {"message", "asctime", "taskName"}


def begin(**facts: str) -> None:
    """A new request, or task: nothing of the one before holds."""
    _context.set(facts)


def bind(**facts: str) -> None:
    """From here on lines of this request, or task, have these facts."""
    _context.set({**(_context.get() or {}), **facts})


def bound() -> dict[str, str]:
    return _context.get() or {}


@contextmanager
def binding(**facts: str) -> Iterator[None]:
    """The same for a while; what was bound inside is forgotten, too."""
    token = _context.set({**(_context.get() or {}), **facts})
    try:
        yield
    finally:
        _context.reset(token)


def masked(text: str) -> str:
    """Without keys and tokens, of which the beginning may stay."""
    text = _CONFIGURED.sub("…", _SECRETS.sub(lambda found: f"{found[0][:6]}…", text))
    return _URL_PASSWORDS.sub(r"\1:…@", text) if "://" in text else text


def one_line(text: str) -> str:
    """Nothing in it ends a line, or draws on a terminal."""
    text = text if len(text) <= _LONGEST else f"{text[:_LONGEST]}…"
    return _CONTROL.sub(lambda found: found[0].encode("unicode_escape").decode(), text)


class JsonFormatter(logging.Formatter):
    """time, level, logger, message, what is bound, what `extra` gave, and exception."""

    def format(self, record: logging.LogRecord) -> str:
        line: dict[str, Any] = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage()[:_LONGEST],
            **bound(),
            **_extra(record),
        }
        if record.exc_info and record.exc_info[0]:
            line["exception"] = "".join(traceback.format_exception(*record.exc_info))
        # As a whole: a secret may be anywhere, also in what `extra` gave.
        return masked(orjson.dumps(line, default=str).decode())


class TextFormatter(logging.Formatter):
    def __init__(self) -> None:
        super().__init__("{asctime} {levelname} {name} {message}", style="{")

    def formatMessage(self, record: logging.LogRecord) -> str:  # noqa: N802  # logging's name
        record.message = one_line(record.message)
        line = super().formatMessage(record)
        facts = {**bound(), **_extra(record)}
        told = " ".join(f"{name}={one_line(str(value))}" for name, value in facts.items())
        return masked(f"{line} [{told}]" if told else line)

    def formatException(self, ei: Any) -> str:  # noqa: N802  # logging's name
        """Indented: no line of it passes for one of its own."""
        told = masked(super().formatException(ei))
        return "\n".join(f"    {one_line(line)}" for line in told.split("\n"))


def _extra(record: logging.LogRecord) -> dict[str, Any]:
    return {name: value for name, value in record.__dict__.items() if name not in _OWN}


def form() -> str:
    """ "json" or "text", as LOG_FORMAT says."""
    default = "text" if env.flag("AGENTFLARE_SANDBOX") else "json"
    return env.choice("LOG_FORMAT", ("json", "text"), default=default)


def formatter() -> logging.Formatter:
    return JsonFormatter() if form() == "json" else TextFormatter()
