"""From a host's name to its addresses, without holding up anybody else."""

import socket
from functools import cache
from typing import Any

import gevent
from gevent.monkey import get_original, is_module_patched

from agentflare.outside.networks import Address, parse

# Of a web worker, for such requests alone. gevent's own threads also look up our providers and
# count tokens: names whose servers never answer must not take those.
_LOOKUP_THREADS = 8


class LookupTimeoutError(Exception):
    """The name was not resolved in time."""


def resolve(host: str, port: int, *, timeout_s: float) -> list[Address]:
    """All addresses of a host, the likeliest first. `timeout_s` counts in a web worker only.

    Raises OSError when there is none, LookupTimeoutError.
    """
    if not is_module_patched("socket"):
        return _addresses(socket.getaddrinfo(host, port, type=socket.SOCK_STREAM))
    look_up = get_original("socket", "getaddrinfo")
    with gevent.Timeout(timeout_s, LookupTimeoutError()):
        found = _threads().apply(look_up, (host, port), {"type": socket.SOCK_STREAM})
    return _addresses(found)


def _addresses(found: Any) -> list[Address]:
    # An address of one interface (fe80::1%eth0) is none of the internet.
    addresses = [parse(str(sockaddr[0]).partition("%")[0]) for *_, sockaddr in found]
    return list(dict.fromkeys(addresses))


@cache
def _threads() -> Any:
    """Made at first use, hence after gunicorn has forked."""
    from gevent.threadpool import ThreadPool

    return ThreadPool(_LOOKUP_THREADS)
