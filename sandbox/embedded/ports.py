"""Ports on 127.0.0.1."""

import random
import socket
from contextlib import closing

HOST = "127.0.0.1"

# Below the range from which Linux (32768 up) and macOS (49152 up) give ports to
# outgoing connections. Clients that keep knocking on a dead server's port from
# that range can be given the very same port and connect to themselves; the
# server then cannot have it back.
PORTS = range(20_000, 30_000)


def is_free(port: int) -> bool:
    """Whether a server could listen on the port now.

    Raises PermissionError for a port below 1024 that only root may have.
    """
    with closing(socket.socket()) as listener:
        # Servers set it too; without it a port just given back counts as taken.
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listener.bind((HOST, port))
        except PermissionError:
            raise
        except OSError:
            return False
    # Where something listens on every address, macOS lets us bind one of them.
    return not answers(HOST, port)


def answers(host: str, port: int, timeout_s: float = 1.0) -> bool:
    try:
        socket.create_connection((host, port), timeout_s).close()
    except OSError:
        return False
    return True


def free_port() -> int:
    return next(port for port in random.sample(PORTS, len(PORTS)) if is_free(port))
