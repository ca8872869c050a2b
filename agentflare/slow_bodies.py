"""Bodies that do not come: who sends a byte now and then keeps no place for ever.

gunicorn waits for a body as long as its client likes. Heads have its `keepalive`, and what is
not taken has the kernel's timeout (agentflare/gunicorn.py).
"""

import socket
from contextlib import suppress
from typing import Any

import gevent

# The least that must come in a period of settings.BODY_TIMEOUT_S: two kilobytes a second.
PIECE_BYTES = 64 * 1024


class SlowBodyError(OSError):
    """An OSError, which Django takes for a body that cannot be read."""


class TimedBody:
    """In place of wsgi.input: each piece has its time, and the body all that its pieces have.

    sock: the client's. No more is read from it once the time is over: whatever still comes
    would be taken for the rest of this body, or for the next request.
    """

    def __init__(self, body: Any, sock: Any, *, timeout_s: float) -> None:
        self._body = body
        self._sock = sock
        self._timeout_s = timeout_s

    def read(self, size: int = -1) -> bytes:
        """Raises SlowBodyError."""
        pieces: list[bytes] = []
        left = size
        while left != 0:
            piece = self._piece(PIECE_BYTES if left < 0 else min(left, PIECE_BYTES))
            if not piece:
                break
            pieces.append(piece)
            left -= len(piece) if left > 0 else 0
        return pieces[0] if len(pieces) == 1 else b"".join(pieces)

    def readline(self, *size: int) -> bytes:
        """WSGI asks for it; nobody here reads bodies by lines."""
        return bytes(self._body.readline(*size))

    def _piece(self, size: int) -> bytes:
        with gevent.Timeout(self._timeout_s, SlowBodyError("The body took too long.")):
            try:
                return bytes(self._body.read(size))
            except SlowBodyError:
                with suppress(OSError):
                    self._sock.shutdown(socket.SHUT_RD)
                raise


class LateBody:
    """One that has been waited for in vain, for whoever reads it later."""

    def read(self, size: int = -1) -> bytes:
        raise SlowBodyError("The body took too long.")

    readline = read
