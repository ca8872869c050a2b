"""One WebSocket on the socket that gunicorn has read its request from (RFC 6455, by wsproto).

Sending waits for its reader, and for nobody else's; nothing is queued. Messages are not compressed:
the state that takes would be most of the memory of an idle connection (docs/adr/0011).
"""

import socket
import threading
import time
from contextlib import suppress
from typing import Any

import gevent
from gevent import Timeout
from wsproto import ConnectionType, WSConnection
from wsproto.events import (
    AcceptConnection,
    BytesMessage,
    CloseConnection,
    Ping,
    Pong,
    Request,
    TextMessage,
)
from wsproto.utilities import LocalProtocolError, RemoteProtocolError

from agents.sockets.codes import Code

_READ_BYTES = 16 * 1024
# A reader that takes nothing for so long has gone, or never will.
SEND_TIMEOUT_S = 20.0
PING_S = 25.0
_LINGER_S = 2.0


class SocketClosedError(Exception):
    """It is over: the client has closed it, or has gone, or we have closed it."""


class Connection:
    """`accept`, then `receive` in one greenlet and `send` in any."""

    def __init__(self, environ: dict[str, Any], *, max_message_bytes: int) -> None:
        self._socket: socket.socket = environ["gunicorn.socket"]
        self._ws = WSConnection(ConnectionType.SERVER)
        self._lock = threading.Lock()
        self._max_bytes = max_message_bytes
        self._message: list[str] = []
        self._size = 0
        self._received: list[str] = []
        self._heard_at = time.monotonic()
        self.is_open = False
        self._ws.initiate_upgrade_connection(_headers(environ), environ["PATH_INFO"])
        self.offered: list[str] = []
        for event in self._ws.events():
            if isinstance(event, Request):
                self.offered = event.subprotocols

    def accept(self, subprotocol: str | None = None) -> None:
        """Raises SocketClosedError."""
        self.is_open = True
        self._write(AcceptConnection(subprotocol=subprotocol))

    def receive(self) -> str:
        """The next message. Pings meanwhile, and gives up on who does not answer.

        Raises SocketClosedError.
        """
        while not self._received:
            if not self.is_open:
                raise SocketClosedError
            self._read()
        return self._received.pop(0)

    def send(self, text: str) -> None:
        """Returns when the network has taken it. Raises SocketClosedError."""
        self._write(TextMessage(data=text))

    def close(self, code: int, reason: str = "") -> None:
        """A repeat changes nothing."""
        if not self.is_open:
            return
        with suppress(SocketClosedError, LocalProtocolError):
            self._write(CloseConnection(code=int(code), reason=reason[:120]), timeout_s=1.0)
        self._end_when_read()

    def drain(self) -> None:
        """After its end, in the greenlet that has received: what comes still is thrown away for a
        moment. A socket that is closed with something unread takes back what it has sent."""
        with suppress(OSError), Timeout(_LINGER_S, False):
            while self._socket.recv(_READ_BYTES):
                pass

    def _read(self) -> None:
        try:
            with Timeout(PING_S, TimeoutError):
                data = self._socket.recv(_READ_BYTES)
        except TimeoutError:
            self._ping()
        except OSError:
            self._end()
            raise SocketClosedError from None
        else:
            self._take(data)

    def _ping(self) -> None:
        if time.monotonic() - self._heard_at > 2.5 * PING_S:
            self.close(Code.NO_PONG, "nothing was heard for too long")
            raise SocketClosedError
        self._write(Ping())

    def _take(self, data: bytes) -> None:
        self._heard_at = time.monotonic()
        try:
            self._ws.receive_data(data or None)
            for event in self._ws.events():
                self._handle(event)
        except (RemoteProtocolError, LocalProtocolError):
            self._end()
            raise SocketClosedError from None

    def _handle(self, event: Any) -> None:
        match event:
            case Ping():
                self._write(event.response())
            case Pong():
                pass
            case CloseConnection():
                with suppress(SocketClosedError, LocalProtocolError):
                    self._write(event.response(), timeout_s=1.0)
                self._end()
                raise SocketClosedError
            case BytesMessage():
                self.close(Code.UNSUPPORTED_DATA, "messages are JSON, as text")
                raise SocketClosedError
            case TextMessage():
                self._add(event)

    def _add(self, event: TextMessage) -> None:
        self._size += len(event.data.encode())
        if self._size > self._max_bytes:
            self.close(Code.TOO_BIG, f"a message has at most {self._max_bytes} bytes")
            raise SocketClosedError
        self._message.append(event.data)
        if event.message_finished:
            self._received.append("".join(self._message))
            self._message, self._size = [], 0

    def _write(self, event: Any, *, timeout_s: float = SEND_TIMEOUT_S) -> None:
        """Frames of several greenlets come one after the other, each whole. Whoever waits for its
        turn waits no longer than it would for the network."""
        if not self._lock.acquire(timeout=timeout_s):
            self._end()
            raise SocketClosedError
        try:
            if not self.is_open:
                raise SocketClosedError
            with Timeout(timeout_s, TimeoutError):
                self._socket.sendall(self._ws.send(event))
        except (OSError, TimeoutError):
            # Half a frame may have gone: nothing that follows could be understood.
            self._end()
            raise SocketClosedError from None
        finally:
            self._lock.release()

    def _end_when_read(self) -> None:
        """Nothing more is sent. A client that does not answer is not waited for."""
        self.is_open = False
        with suppress(OSError):
            self._socket.shutdown(socket.SHUT_WR)
        gevent.spawn_later(_LINGER_S, self._end)

    def _end(self) -> None:
        self.is_open = False
        # Whoever waits in `recv` wakes up.
        with suppress(OSError):
            self._socket.shutdown(socket.SHUT_RDWR)


def _headers(environ: dict[str, Any]) -> list[tuple[bytes, bytes]]:
    return [
        (name[5:].replace("_", "-").lower().encode(), value.encode("latin-1"))
        for name, value in environ.items()
        if name.startswith("HTTP_")
    ]
