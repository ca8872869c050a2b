"""HTTP upstream: one call, its answer or its failure. The same for every provider."""

import socket
import time
from collections.abc import Iterator
from contextlib import suppress
from functools import cache
from typing import Any

import gevent
import orjson
import requests
import urllib3.exceptions
from django.conf import settings
from urllib3.exceptions import NewConnectionError

from agentflare import tracing
from inference.upstreams import sse
from inference.upstreams.accounts import Account, CallContext
from inference.upstreams.adapter import UpstreamAdapter
from inference.upstreams.failures import UpstreamCallError
from inference.upstreams.privacy import without_secrets
from inference.upstreams.providers import provider_of
from inference.upstreams.requests import UpstreamRequest

_LAST_BYTES_TIMEOUT_S = 0.5
_LONGEST_LABEL = 80
# A document of no more lists and objects than this is not nested too deeply.
_SURELY_FLAT = 200
# Fewer bytes of a sound than this are no progress.
_LEAST_SAID_BYTES = 1024
# No answer is larger; more of it would fill our memory.
_MAX_ANSWER_BYTES = 64 * 1024 * 1024
# What reading an answer may raise.
BROKEN = (urllib3.exceptions.HTTPError, OSError)
TIMED_OUT = (urllib3.exceptions.TimeoutError, TimeoutError)


class Answer:
    """Upstream's answer to one call, its headers read and its body not yet.

    Close it, read or not: an answer that is closed early stops upstream's work.
    """

    def __init__(self, response: requests.Response, account: Account) -> None:
        self._response = response
        self._account = account
        self._provider = provider_of(account.provider)
        self._socket = getattr(response.raw.connection, "sock", None)
        self.headers = response.headers
        self.request_id = _label(response.headers.get(self._provider.request_id_header, ""))
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
        return _label(self._response.headers.get("cf-aig-cache-status", "")).upper()[:8]

    @property
    def gateway_log_id(self) -> str:
        return _label(self._response.headers.get("cf-aig-log-id", ""))[:64]

    def result(self) -> Any:
        """A JSON answer out of its envelope. Raises UpstreamCallError or one of BROKEN."""
        body = self._whole_body()
        if failure := self.failure_in(body):
            raise failure
        try:
            return self._provider.unwrap(_parsed(body))
        except orjson.JSONDecodeError:
            raise UpstreamCallError.unreadable("the answer is no JSON") from None

    def content(self) -> bytes:
        """An answer that is not JSON. Raises UpstreamCallError for JSON, which is a failure or
        nothing that was asked for; or one of BROKEN."""
        body = self._whole_body()
        if self.is_json or self.content_type.startswith("text/") or is_document(body):
            raise self.failure_in(body) or UpstreamCallError.unreadable(
                f"{self.content_type} came back"
            )
        if not body:
            raise UpstreamCallError.unreadable("nothing came back")
        return body

    def failure_in(self, body: bytes) -> UpstreamCallError | None:
        """The failure that a body (or an event of a stream) stands for; None for a success."""
        failure = self._provider.failure_of(self._response.status_code, body)
        if failure is not None:
            failure.request_id = self.request_id
            failure.error.message = without_secrets(failure.error.message, self._account)
        return failure

    def pieces(self) -> Iterator[bytes]:
        """The body as it arrives, not waiting for any length. Raises UpstreamCallError or one of
        BROKEN, also when it has no end or only drips."""
        silence = _Silence()
        size = said = 0
        for piece in silence.watched(_pieces(self._response)):
            size += len(piece)
            if size > _MAX_ANSWER_BYTES:
                raise UpstreamCallError.unreadable(f"more than {_MAX_ANSWER_BYTES} bytes")
            yield piece
            if size - said >= _LEAST_SAID_BYTES:
                said = size
                silence.ended()
        self._let_go()

    def frames(self) -> Iterator[dict[str, Any]]:
        """The frames of a stream up to `[DONE]`. Raises UpstreamCallError, also for one that tells
        of an error; or one of BROKEN.

        `saw_done` tells afterwards whether it ended so.
        """
        silence = _Silence()
        pieces = silence.watched(_pieces(self._response))
        for name, payload in _events(pieces):
            if not payload:
                continue
            if payload == b"[DONE]":
                self.saw_done = True
                self._read_to_the_end(pieces)
                return
            try:
                frame = _parsed(payload)
            except orjson.JSONDecodeError:
                raise UpstreamCallError.unreadable("a frame is no JSON") from None
            if not isinstance(frame, dict):
                continue
            if name == b"error" or tells_of_error(frame):
                failure = self.failure_in(payload)
                raise failure or UpstreamCallError.broken(payload[:500].decode())
            yield frame
            silence.ended()

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
    request.headers = {  # type: ignore[assignment]  # of names that are written only here
        "Content-Type": content_type,
        "Content-Length": str(len(body)),
        "Accept-Encoding": "identity",
        "User-Agent": "AgentFlare",
        **tracing.headers(),
        **provider.headers(account, context, url=url, body=body),
    }
    connect_s, read_s = settings.UPSTREAM_CONNECT_TIMEOUT_S, settings.UPSTREAM_READ_TIMEOUT_S
    # Headers that drip in keep to the time-out for silence, for ever.
    longest = gevent.Timeout(connect_s + 2 * read_s)
    try:
        with longest:
            response = _adapter().ask(request, connect_s=connect_s, read_s=read_s)
    except gevent.Timeout as exc:
        if exc is not longest:
            raise
        raise UpstreamCallError.timeout("the headers did not come to their end") from None
    except NewConnectionError as exc:  # to urllib3 it is a time-out too
        raise UpstreamCallError.unreachable(str(exc)) from exc
    except TIMED_OUT as exc:
        raise UpstreamCallError.timeout(str(exc)) from exc
    except BROKEN as exc:
        raise UpstreamCallError.unreachable(str(exc)) from exc
    answer = Answer(response, account)
    if response.status_code == 200:
        return answer
    try:
        body_bytes = _read_whole(response)
    except (UpstreamCallError, *BROKEN):
        body_bytes = b""
    finally:
        answer.close()
    failure = answer.failure_in(body_bytes)
    assert failure is not None
    raise failure


def as_failure(exc: Exception) -> UpstreamCallError:
    """Any of BROKEN, while an answer was read: another attempt makes sense unless it was slow."""
    if isinstance(exc, UpstreamCallError):
        return exc
    if isinstance(exc, TIMED_OUT):
        return UpstreamCallError.timeout(str(exc), may_be_provoked=True)
    return UpstreamCallError.broken(str(exc))


def _parsed(body: bytes) -> Any:
    """A JSON document that can be written again, inside of ours: orjson reads deeper ones than it
    writes. Raises orjson.JSONDecodeError or UpstreamCallError."""
    document = orjson.loads(body)
    if body.count(b"[") + body.count(b"{") > _SURELY_FLAT:
        try:
            orjson.dumps([[[[[[[[document]]]]]]]])
        except orjson.JSONEncodeError:
            raise UpstreamCallError.unreadable("the answer is nested too deeply") from None
    return document


def _label(value: str) -> str:
    """Of a header that goes into the books, which cannot hold every character."""
    return value[:_LONGEST_LABEL] if value.isprintable() else ""


@cache
def _adapter() -> UpstreamAdapter:
    """Sessions merge cookies, proxies and hooks into each request; none of that is wanted."""
    return UpstreamAdapter()


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


class _Silence:
    """The time since upstream has said anything: comments and single bytes say nothing.

    While a client takes its time to read, it is not upstream that is silent: it `ended` when the
    client asks for more.
    """

    def __init__(self) -> None:
        self.ended()

    def ended(self) -> None:
        self._since = time.monotonic()

    def watched(self, pieces: Iterator[bytes]) -> Iterator[bytes]:
        """Raises TimeoutError for one that lasts too long, however many bytes it consists of."""
        for piece in pieces:
            yield piece
            if time.monotonic() - self._since > settings.UPSTREAM_READ_TIMEOUT_S:
                raise TimeoutError("upstream has said nothing for too long")


def tells_of_error(frame: dict[str, Any]) -> bool:
    """Of a frame inside a stream: either envelope of Cloudflare's, or OpenAI's, or vLLM's."""
    return bool(
        frame.get("errors")
        or frame.get("error")
        or frame.get("success") is False
        or frame.get("object") == "error"
    )


def _events(pieces: Iterator[bytes]) -> Iterator[tuple[bytes, bytes]]:
    try:
        yield from sse.events(pieces)
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
