"""One request to a URL that a stranger has chosen.

Python's own HTTP client on a socket of ours: the address that is connected to is the one that
was checked, whatever the name leads to a moment later. No proxies, cookies, decompression or
waiting beyond the deadline.
"""

import socket
import ssl
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import cache
from http.client import HTTPConnection, HTTPResponse

import certifi
from django.conf import settings
from urllib3.exceptions import LocationParseError
from urllib3.util import Url, parse_url

from agentflare.outside import networks
from agentflare.outside.resolve import LookupTimeoutError, resolve

_DEFAULT_PORTS = {"http": 80, "https": 443}
_MAX_URL_LENGTH = 8192
_MAX_ADDRESSES_TRIED = 3


class OutsideError(Exception):
    """Why not, as the rest of a sentence: "the image cannot be fetched: …"."""


class Deadline:
    """A moment after which nothing is waited for any more."""

    def __init__(self, seconds: float) -> None:
        self._at = time.monotonic() + seconds

    def left_s(self) -> float:
        """Raises OutsideError when there is no time left."""
        if self.has_passed:
            raise OutsideError("it took too long.")
        return self.seconds

    @property
    def seconds(self) -> float:
        return max(0.0, self._at - time.monotonic())

    @property
    def has_passed(self) -> bool:
        return self.seconds == 0


@dataclass(frozen=True, slots=True)
class Target:
    """A URL taken apart and found harmless in itself; its host still has to be resolved."""

    url: str
    scheme: str
    host: str
    port: int
    path: str

    @classmethod
    def of(cls, url: str) -> "Target":
        """Raises OutsideError."""
        if len(url) > _MAX_URL_LENGTH:
            raise OutsideError(f"the URL is longer than {_MAX_URL_LENGTH} characters.")
        try:
            parts = parse_url(url)
        except (LocationParseError, ValueError):
            raise OutsideError("this is not a valid URL.") from None
        if parts.scheme not in _DEFAULT_PORTS:
            raise OutsideError("only http:// and https:// URLs are supported.")
        if parts.auth is not None:
            raise OutsideError("a URL with a user name or password is not supported.")
        host = (parts.host or "").strip("[]").rstrip(".")
        if not host or "%" in host:
            raise OutsideError("the URL has no valid host.")
        port = parts.port or _DEFAULT_PORTS[parts.scheme]
        without_fragment = Url(*parts[:-1], None).url
        return cls(without_fragment, parts.scheme, host, port, parts.request_uri)

    @classmethod
    def of_private(cls, url: str) -> "Target":
        """Of what is sent private data: https alone, but in the sandbox. Raises OutsideError."""
        target = cls.of(url)
        if target.scheme != "https" and not settings.SANDBOX:
            raise OutsideError("only https:// URLs are taken.")
        return target

    @property
    def authority(self) -> str:
        """The Host header."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return host if self.port == _DEFAULT_PORTS[self.scheme] else f"{host}:{self.port}"


def as_outside_error(exc: Exception, deadline: Deadline) -> OutsideError:
    """What OSError, HTTPException and ValueError of a request come to."""
    if deadline.has_passed or isinstance(exc, TimeoutError):
        return OutsideError("it took too long.")
    if isinstance(exc, ssl.SSLCertVerificationError):
        return OutsideError("the server's certificate is not valid.")
    return OutsideError("the server could not be reached, or broke off.")


# --- the connection -----------------------------------------------------------------


@contextmanager
def send(
    target: Target,
    deadline: Deadline,
    *,
    headers: Mapping[str, str],
    method: str = "GET",
    body: bytes | None = None,
    allowed: networks.Networks = (),
) -> Iterator[HTTPResponse]:
    """The answer's head; its body is read from it. Redirects are the caller's affair.

    allowed: networks that may be reached though they are not public.
    Raises OutsideError, and what `as_outside_error` takes.
    """
    sock = _connect(target, deadline, allowed)
    handle = sock.dup()
    # A server that sends a byte now and then keeps each single wait short. So the connection
    # ends at the deadline, whatever is waited for: the handshake, a header, the body.
    timer = threading.Timer(deadline.seconds, _end, [handle])
    timer.daemon = True
    timer.start()
    try:
        if target.scheme == "https":
            sock = _start_tls(sock, target.host)
        connection = HTTPConnection(target.host, target.port)
        connection.sock = sock
        connection.request(
            method,
            target.path,
            body=body,
            headers={
                "Host": target.authority,
                "User-Agent": f"AgentFlare (+{settings.AGENTFLARE_URL})",
                "Accept-Encoding": "identity",
                "Connection": "close",
                **headers,
            },
        )
        with connection.getresponse() as response:
            yield response
    finally:
        timer.cancel()
        handle.close()
        sock.close()


def _end(handle: socket.socket) -> None:
    # It may have ended by itself.
    with suppress(OSError):
        handle.shutdown(socket.SHUT_RDWR)


def _connect(target: Target, deadline: Deadline, allowed: networks.Networks) -> socket.socket:
    """A connection to an address of the host that was found to be public."""
    addresses = public_addresses(target, deadline, allowed)[:_MAX_ADDRESSES_TRIED]
    for number, address in enumerate(addresses, start=1):
        # Time for the others, should this one be silent.
        patience_s = deadline.left_s() / (len(addresses) - number + 1)
        try:
            sock = socket.create_connection((str(address), target.port), timeout=patience_s)
        except OSError:
            if number == len(addresses):
                raise
            continue
        # The timer ends what follows.
        sock.settimeout(None)
        return sock
    raise OutsideError("its host has no address.")


def public_addresses(
    target: Target, deadline: Deadline, allowed: networks.Networks = ()
) -> list[networks.Address]:
    """Raises OutsideError unless all of its addresses may be reached."""
    try:
        addresses = resolve(target.host, target.port, timeout_s=deadline.left_s())
    except LookupTimeoutError:
        raise OutsideError("it took too long.") from None
    except (OSError, UnicodeError, ValueError):
        raise OutsideError("its host cannot be found.") from None
    # One that is not is enough: names that lead to both are made to deceive.
    if not all(networks.may_reach(address, allowed=allowed) for address in addresses):
        raise OutsideError("its host is not on the public internet.")
    is_default_port = target.port in _DEFAULT_PORTS.values()
    if not is_default_port and not all(networks.is_allowed(x, allowed) for x in addresses):
        raise OutsideError("only the ports 80 and 443 are supported.")
    return addresses


def _start_tls(sock: socket.socket, host: str) -> ssl.SSLSocket:
    """The certificate must be the host's, though an address was connected to."""
    secured = tls_context().wrap_socket(sock, server_hostname=host, do_handshake_on_connect=False)
    try:
        secured.do_handshake()
    except BaseException:
        secured.close()
        raise
    return secured


@cache
def tls_context() -> ssl.SSLContext:
    return ssl.create_default_context(cafile=certifi.where())
