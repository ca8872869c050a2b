"""One GET of a URL that a stranger has chosen.

Python's own HTTP client on a socket of ours: the address that is connected to is the one that
was checked, whatever the name leads to a moment later. No proxies, cookies, decompression or
waiting beyond the deadline.
"""

import socket
import ssl
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import cache
from http.client import HTTPConnection, HTTPException, HTTPResponse
from urllib.parse import urljoin

import certifi
from django.conf import settings
from urllib3.exceptions import LocationParseError
from urllib3.util import Url, parse_url

from inference.images import networks
from inference.images.formats import MEDIA_TYPES
from inference.images.resolve import LookupTimeoutError, resolve

_DEFAULT_PORTS = {"http": 80, "https": 443}
_MAX_URL_LENGTH = 8192
_MAX_REDIRECTS = 3
_MAX_ADDRESSES_TRIED = 3
_REDIRECTS = {301, 302, 303, 307, 308}
_PIECE_BYTES = 64 * 1024


class DownloadError(Exception):
    """Why not, as the rest of a sentence: "the image cannot be fetched: …"."""


class Deadline:
    """A moment after which nothing is waited for any more."""

    def __init__(self, seconds: float) -> None:
        self._at = time.monotonic() + seconds

    def left_s(self) -> float:
        """Raises DownloadError when there is no time left."""
        if self.has_passed:
            raise DownloadError("it took too long.")
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
        """Raises DownloadError."""
        if len(url) > _MAX_URL_LENGTH:
            raise DownloadError(f"the URL is longer than {_MAX_URL_LENGTH} characters.")
        try:
            parts = parse_url(url)
        except (LocationParseError, ValueError):
            raise DownloadError("this is not a valid URL.") from None
        if parts.scheme not in _DEFAULT_PORTS:
            raise DownloadError("only http:// and https:// URLs are supported.")
        if parts.auth is not None:
            raise DownloadError("a URL with a user name or password is not supported.")
        host = (parts.host or "").strip("[]").rstrip(".")
        if not host or "%" in host:
            raise DownloadError("the URL has no valid host.")
        port = parts.port or _DEFAULT_PORTS[parts.scheme]
        without_fragment = Url(*parts[:-1], None).url
        return cls(without_fragment, parts.scheme, host, port, parts.request_uri)

    @property
    def authority(self) -> str:
        """The Host header."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return host if self.port == _DEFAULT_PORTS[self.scheme] else f"{host}:{self.port}"


def download(url: str, *, deadline: Deadline, max_bytes: int, take: Callable[[int], None]) -> bytes:
    """The body of what the URL leads to, which is announced as an image.

    take: told of each piece's size as it comes; raises DownloadError to end the download.
    Raises DownloadError.
    """
    for _ in range(_MAX_REDIRECTS + 1):
        target = Target.of(url)
        try:
            with _get(target, deadline) as response:
                # Headers that the deadline has cut off read like the whole of them.
                deadline.left_s()
                if response.status not in _REDIRECTS:
                    return _read(response, deadline, max_bytes, take)
                url = urljoin(target.url, _header(response, "Location"))
        # ValueError: a Location, or a name, that is none.
        except (OSError, HTTPException, ValueError) as exc:
            raise _as_download_error(exc, deadline) from exc
    raise DownloadError(f"more than {_MAX_REDIRECTS} redirects.")


def _as_download_error(exc: Exception, deadline: Deadline) -> DownloadError:
    if deadline.has_passed or isinstance(exc, TimeoutError):
        return DownloadError("it took too long.")
    if isinstance(exc, ssl.SSLCertVerificationError):
        return DownloadError("the server's certificate is not valid.")
    return DownloadError("the server could not be reached, or broke off.")


# --- the connection -----------------------------------------------------------------


@contextmanager
def _get(target: Target, deadline: Deadline) -> Iterator[HTTPResponse]:
    sock = _connect(target, deadline)
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
            "GET",
            target.path,
            headers={
                "Host": target.authority,
                "User-Agent": f"AgentFlare (+{settings.AGENTFLARE_URL})",
                "Accept": ", ".join(MEDIA_TYPES),
                "Accept-Encoding": "identity",
                "Connection": "close",
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


def _connect(target: Target, deadline: Deadline) -> socket.socket:
    """A connection to an address of the host that was found to be public."""
    addresses = _addresses(target, deadline)[:_MAX_ADDRESSES_TRIED]
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
    raise DownloadError("its host has no address.")


def _addresses(target: Target, deadline: Deadline) -> list[networks.Address]:
    try:
        addresses = resolve(target.host, target.port, timeout_s=deadline.left_s())
    except LookupTimeoutError:
        raise DownloadError("it took too long.") from None
    except (OSError, UnicodeError, ValueError):
        raise DownloadError("its host cannot be found.") from None
    # One that is not is enough: names that lead to both are made to deceive.
    if not all(networks.may_fetch_from(address) for address in addresses):
        raise DownloadError("its host is not on the public internet.")
    is_default_port = target.port in _DEFAULT_PORTS.values()
    if not is_default_port and not all(map(networks.is_allowed_by_settings, addresses)):
        raise DownloadError("only the ports 80 and 443 are supported.")
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


# --- the answer ---------------------------------------------------------------------


def _read(
    response: HTTPResponse, deadline: Deadline, max_bytes: int, take: Callable[[int], None]
) -> bytes:
    if response.status != 200:
        raise DownloadError(f"the server answered with status {response.status}.")
    media_type = _header(response, "Content-Type").partition(";")[0].strip().lower()
    # Many write it so, though it was never registered.
    if media_type not in (*MEDIA_TYPES, "image/jpg"):
        raise DownloadError("the server does not call it a PNG, JPEG, GIF or WebP image.")
    if _header(response, "Content-Encoding").strip().lower() not in {"", "identity"}:
        raise DownloadError("the server sends it compressed.")
    if (response.length or 0) > max_bytes:
        raise DownloadError(f"it is larger than {max_bytes} bytes.")
    body = bytearray()
    while piece := response.read(_PIECE_BYTES):
        body += piece
        take(len(piece))
        if len(body) > max_bytes:
            raise DownloadError(f"it is larger than {max_bytes} bytes.")
    # A body cut off by the timer looks like one that has ended, where no length was told.
    deadline.left_s()
    if response.length:
        raise DownloadError("the server broke off.")
    return bytes(body)


def _header(response: HTTPResponse, name: str) -> str:
    return response.getheader(name) or ""
