"""The open WebSockets of this process: each is looked at a few times a second.

Whose key was revoked, whose token's time is over or whose workspace was suspended is told so and
closed; so are all when the process ends.
"""

import logging
import threading
import time
from typing import Any, Protocol

import gevent

from agentflare.background import ProcessThread
from agentflare.errors import GatewayError, TenantSuspendedError
from agents.client_tokens.standing import refusal_by
from agents.sockets.codes import Code
from agents.sockets.connection import Connection
from agents.sockets.door import Visitor

logger = logging.getLogger(__name__)
_LOOK_S = 0.3
# Of one process: what opens more than that is refused.
MAX_OPEN = 5_000


class Session(Protocol):
    visitor: Visitor
    connection: Connection

    def is_idle(self) -> bool: ...


_open: set[Session] = set()
_has_some = threading.Event()
# gunicorn's worker, where there is one.
worker: Any = None


def add(session: Session) -> None:
    _open.add(session)
    _has_some.set()
    _watcher.start()


def remove(session: Session) -> None:
    _open.discard(session)


def count() -> int:
    return len(_open)


def close_all(code: Code, reason: str) -> None:
    for session in list(_open):
        _close(session, code, reason)


def _close(session: Session, code: Code, reason: str) -> None:
    """Of one that does not read it takes a second, for which the others do not wait."""
    gevent.spawn(session.connection.close, code, reason)


def look() -> None:
    """Close those that may not go on."""
    standing: dict[Any, GatewayError | None] = {}
    for session in list(_open):
        visitor = session.visitor
        key = (visitor.parts, visitor.token)
        if key not in standing:
            standing[key] = refusal_by(visitor.record)
        if error := standing[key]:
            suspended = isinstance(error, TenantSuspendedError)
            code = Code.SUSPENDED if suspended else Code.NOT_AUTHENTICATED
            _close(session, code, error.message)
        elif session.is_idle():
            _close(session, Code.IDLE, "nothing was asked for a long time")


def _look_out() -> None:
    while True:
        if not _open:
            _has_some.clear()
            if not _open:
                _has_some.wait()
        try:
            if worker is not None and not worker.alive:
                close_all(Code.GOING_AWAY, "this server ends")
            look()
        except Exception:  # a thread that must go on
            logger.exception("Open WebSockets cannot be looked at")
        time.sleep(_LOOK_S)


_watcher = ProcessThread("open-sockets", _look_out)
