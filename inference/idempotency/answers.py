"""Answers as they are kept, and as they are given again."""

import zlib
from collections.abc import Iterator

from django.conf import settings
from django.http import HttpResponse, HttpResponseBase, StreamingHttpResponse

from agentflare.concurrency import off_loop
from inference.idempotency.store import Head, KeptAnswer

_HEADERS_KEPT = {
    "content-type",
    "content-disposition",
    "cache-control",
    "x-accel-buffering",
    "x-estimated-cost",
    "x-request-cost",
}
# From here on zlib leaves the gevent loop.
_LARGE_BYTES = 64 * 1024
_PIECE_BYTES = 16 * 1024


def head_of(response: HttpResponseBase, *, request_id: str) -> Head:
    """What a repeat shows of an answer. Its balance is left out: it is not true any more."""
    headers = {
        name: value
        for name, value in response.items()
        if name.lower() in _HEADERS_KEPT or name.lower().startswith("x-agentflare-")
    }
    return Head(request_id, response.status_code, headers, response.streaming)


def compress(body: bytes) -> bytes | None:
    """None: too large to keep."""
    if len(body) < _LARGE_BYTES:
        packed = zlib.compress(body)
    else:
        packed = off_loop(lambda: zlib.compress(body))
    return packed if len(packed) <= settings.IDEMPOTENCY_MAX_BODY_BYTES else None


class PackedStream:
    """A stream's bytes, compressed as they come. What grows too large is let go."""

    def __init__(self) -> None:
        self._compressor = zlib.compressobj()
        self._packed = bytearray()
        self._is_too_large = False

    def add(self, piece: bytes) -> None:
        if self._is_too_large:
            return
        self._packed += self._compressor.compress(piece)
        if len(self._packed) > settings.IDEMPOTENCY_MAX_BODY_BYTES:
            self._is_too_large = True
            self._packed.clear()

    def body(self) -> bytes | None:
        """The whole, once. None: too large to keep."""
        if self._is_too_large:
            return None
        self._packed += self._compressor.flush()
        if len(self._packed) > settings.IDEMPOTENCY_MAX_BODY_BYTES:
            return None
        return bytes(self._packed)


def replay(kept: KeptAnswer) -> HttpResponseBase:
    """The first answer once more: status, body, and what its headers told of itself."""
    head = kept.head
    if len(kept.body) < _LARGE_BYTES:
        body = zlib.decompress(kept.body)
    else:
        body = off_loop(lambda: zlib.decompress(kept.body))
    response: HttpResponseBase
    if head.is_stream:
        response = StreamingHttpResponse(_pieces(body), status=head.status, headers=head.headers)
    else:
        response = HttpResponse(body, status=head.status, headers=head.headers)
        response["Content-Length"] = str(len(body))
    response["Idempotent-Replayed"] = "true"
    response["x-agentflare-original-request-id"] = f"req_{head.request_id}"
    return response


def _pieces(body: bytes) -> Iterator[bytes]:
    for start in range(0, len(body), _PIECE_BYTES):
        yield body[start : start + _PIECE_BYTES]
