"""HTTP upstream: one call, its answer or its failure. The same for every provider."""

import socket
import time
from collections.abc import Iterator
from contextlib import suppress
from functools import cache
from typing import Any

import orjson
import requests
import urllib3.exceptions
from django.conf import settings
from requests.adapters import HTTPAdapter
from requests.structures import CaseInsensitiveDict

from inference.upstreams import sse
from inference.upstreams.accounts import Account, CallContext
from inference.upstreams.failures import UpstreamCallError
from inference.upstreams.providers import Provider, provider_of
from inference.upstreams.requests import UpstreamRequest

_LAST_BYTES_TIMEOUT_S = 0.5
# No answer is larger; more of it would fill our memory.
_MAX_ANSWER_BYTES = 64 * 1024 * 1024
# What reading an answer may raise.
BROKEN = (requests.RequestException, urllib3.exceptions.HTTPError, OSError)
TIMED_OUT = (requests.Timeout, urllib3.exceptions.TimeoutError, TimeoutError)


class Answer:
    """Upstream's answer to one call, its headers read and its body not yet.

    Close it, read or not: an answer that is closed early stops upstream's work.
    """

    def __init__(self, response: requests.Response, provider: Provider) -> None:
        self._response = response
        self._provider = provider
        self._socket = getattr(response.raw.connection, "sock", None)
        self.headers = response.headers
        self.request_id = response.headers.get(provider.request_id_header, "")
        self.saw_done = False

    @property
    def content_type(self) -> str:
        return self._response.headers.get("content-type", "").partition(";")[0].strip().lower()

    @property
    def is_stream(self) -> bool:
        """Some models answer plain JSON although a stream was asked for."""
        return self.content_type == "text/event-stream"

    @property
    def is_json(self) -> bool:
        return self.content_type == "application/json" or self.content_type.endswith("+json")

    @property
    def neurons(self) -> str | None:
        """What Cloudflare billed, where the headers tell."""
        return self._response.headers.get("cf-ai-neurons")

    @property
    def cache_status(self) -> str:
        """HIT or MISS, by AI Gateway's cache; empty where none was asked."""
        return self._response.headers.get("cf-aig-cache-status", "").upper()[:8]

    @property
    def gateway_log_id(self) -> str:
        return self._response.headers.get("cf-aig-log-id", "")[:64]

    def result(self) -> Any:
        """A JSON answer out of its envelope. Raises UpstreamCallError or one of BROKEN."""
        body = self._whole_body()
        failure = self._provider.failure_of(self._response.status_code, body)
        if failure:
            failure.request_id = self.request_id
            raise failure
        try:
            return self._provider.unwrap(orjson.loads(body))
        except orjson.JSONDecodeError:
            raise UpstreamCallError.unreadable("the answer is no JSON") from None

    def content(self) -> bytes:
        """An answer that is not JSON. Raises UpstreamCallError for JSON, which is a failure or
        nothing that was asked for; or one of BROKEN."""
        body = self._whole_body()
        if self.is_json or self.content_type.startswith("text/") or is_document(body):
            failure = self._provider.failure_of(self._response.status_code, body)
            raise failure or UpstreamCallError.unreadable(f"{self.content_type} came back")
        if not body:
            raise UpstreamCallError.unreadable("nothing came back")
        return body

    def pieces(self) -> Iterator[bytes]:
        """The body as it arrives, not waiting for any length. Raises UpstreamCallError or one of
        BROKEN."""
        yield from _pieces(self._response)
        self._let_go()

    def frames(self) -> Iterator[dict[str, Any]]:
        """The frames of a stream up to `[DONE]`. Raises UpstreamCallError or one of BROKEN.

        `saw_done` tells afterwards whether it ended so.
        """
        pieces = _pieces(self._response)
        for payload in _payloads(pieces):
            if payload == b"[DONE]":
                self.saw_done = True
                self._read_to_the_end(pieces)
                return
            try:
                frame = orjson.loads(payload)
            except orjson.JSONDecodeError:
                raise UpstreamCallError.unreadable("a frame is no JSON") from None
            if isinstance(frame, dict):
                yield frame

    def abort(self) -> None:
        """Break the connection off, also while another greenlet reads from it."""
        if self._socket is not None:
            with suppress(OSError):  # upstream was faster
                self._socket.shutdown(socket.SHUT_RDWR)

    def close(self) -> None:
        self._let_go()
        self._response.close()

    def _whole_body(self) -> bytes:
        length = self._response.headers.get("content-length", "")
        if length.isdecimal() and int(length) > _MAX_ANSWER_BYTES:
            raise UpstreamCallError.unreadable(f"an answer of {length} bytes")
        body = _read_whole(self._response)
        self._let_go()
        return body

    def _read_to_the_end(self, pieces: Iterator[bytes]) -> None:
        """The connection can be used again only when nothing of the answer is left in it."""
        with suppress(*BROKEN):
            if self._socket is not None:
                self._socket.settimeout(_LAST_BYTES_TIMEOUT_S)
            next(pieces, None)
        self._let_go()

    def _let_go(self) -> None:
        """From here on the connection may be another call's: it must not be broken off."""
        self._socket = None


def send(
    account: Account,
    upstream_model: str,
    call: UpstreamRequest,
    *,
    context: CallContext,
    reject_if_busy: bool = False,
) -> Answer:
    """Call a model. Raises UpstreamCallError for anything but an answer."""
    provider = provider_of(account.provider)
    body, content_type = provider.body(upstream_model, call, reject_if_busy=reject_if_busy)
    request = requests.PreparedRequest()
    request.method = "POST"
    url = provider.url(account, upstream_model, call)
    request.url = url
    request.body = body
    request.headers = CaseInsensitiveDict(
        {
            "Content-Type": content_type,
            "Content-Length": str(len(body)),
            "Accept-Encoding": "identity",
            "User-Agent": "AgentFlare",
            **provider.headers(account, context, url=url, body=body),
        }
    )
    request.hooks = requests.hooks.default_hooks()
    timeout = (settings.UPSTREAM_CONNECT_TIMEOUT_S, settings.UPSTREAM_READ_TIMEOUT_S)
    try:
        response = _adapter().send(request, stream=True, timeout=timeout)
    except requests.Timeout as exc:
        raise UpstreamCallError.timeout(str(exc)) from exc
    except BROKEN as exc:
        raise UpstreamCallError.unreachable(str(exc)) from exc
    answer = Answer(response, provider)
    if response.status_code == 200:
        return answer
    try:
        body_bytes = _read_whole(response)
    except (UpstreamCallError, *BROKEN):
        body_bytes = b""
    finally:
        answer.close()
    failure = provider.failure_of(response.status_code, body_bytes)
    assert failure is not None
    failure.request_id = answer.request_id
    raise failure


def as_failure(exc: Exception) -> UpstreamCallError:
    """Any of BROKEN, while an answer was read: another attempt makes sense unless it was slow."""
    if isinstance(exc, UpstreamCallError):
        return exc
    if isinstance(exc, TIMED_OUT):
        return UpstreamCallError.timeout(str(exc))
    failure = UpstreamCallError.broken(str(exc))
    failure.may_retry = failure.may_fall_over = True
    return failure


@cache
def _adapter() -> HTTPAdapter:
    """Sessions merge cookies, proxies and hooks into each request; none of that is wanted."""
    return HTTPAdapter(pool_connections=16, pool_maxsize=2000, max_retries=0)


def _pieces(response: requests.Response) -> Iterator[bytes]:
    """The body as it arrives, not waiting for any length.

    Raises UpstreamCallError for one that is packed, though that was not asked for: it would have
    to be unpacked to be understood, to whatever size.
    """
    encoding = response.headers.get("content-encoding", "").strip().lower()
    if encoding not in {"", "identity"}:
        raise UpstreamCallError.unreadable(f"the answer is packed: {encoding[:40]}")
    raw = response.raw
    while piece := raw.read1(65_536):
        yield piece


def _read_whole(response: requests.Response) -> bytes:
    """Raises UpstreamCallError for more than we can take, TimeoutError for one that drips."""
    deadline = time.monotonic() + settings.UPSTREAM_READ_TIMEOUT_S
    body = bytearray()
    for piece in _pieces(response):
        body += piece
        if len(body) > _MAX_ANSWER_BYTES:
            raise UpstreamCallError.unreadable(f"an answer of more than {_MAX_ANSWER_BYTES} bytes")
        if time.monotonic() > deadline:
            raise TimeoutError("the answer did not come to its end in time")
    return bytes(body)


def _payloads(pieces: Iterator[bytes]) -> Iterator[bytes]:
    try:
        yield from sse.payloads(pieces)
    except sse.LineTooLongError:
        raise UpstreamCallError.unreadable("a frame without an end") from None


def is_document(body: bytes) -> bool:
    """Whether bytes that should be a picture or a sound are a JSON document, or a page: a failure
    that somebody has forgotten to label."""
    start = body[:64].lstrip().lower()
    if start.startswith((b"<!doctype", b"<html")):
        return True
    if not start.startswith((b"{", b"[")):
        return False
    try:
        orjson.loads(body)
    except orjson.JSONDecodeError:
        return False
    return True
