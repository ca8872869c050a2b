"""Noticing at once that the client of a stream has left.

A server learns of it at its next write; while upstream thinks there is none. Under gunicorn's
gevent worker the client's socket is at hand, and a greenlet can wait for its end.
"""

import socket
from collections.abc import Callable
from typing import Any

import gevent
from gevent.monkey import is_module_patched


def watch(client_socket: Any, on_gone: Callable[[], None]) -> Callable[[], None]:
    """Call `on_gone` once when the client closes its connection. Returns what ends the watch.

    Without a socket (another server, a test client) nothing is watched.
    """
    if client_socket is None or not is_module_patched("socket"):
        return lambda: None
    watcher = gevent.spawn(_wait_for_end, client_socket, on_gone)
    return lambda: watcher.kill(block=False)


def _wait_for_end(client_socket: Any, on_gone: Callable[[], None]) -> None:
    try:
        gevent.socket.wait_read(client_socket.fileno())
        rest = client_socket.recv(1, socket.MSG_PEEK | socket.MSG_DONTWAIT)
    except BlockingIOError:
        return
    except (OSError, ValueError):
        rest = b""
    # Anything else is the next request, sent early: the client is there.
    if rest == b"":
        on_gone()
