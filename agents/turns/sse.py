"""A turn's events as server-sent events: named by their type, numbered by their place."""

from typing import Any

import orjson

KEEP_ALIVE = b": keep-alive\n\n"


def sse(event: dict[str, Any]) -> bytes:
    return sse_of(event["type"], event["sequence_number"], orjson.dumps(event))


def sse_of(kind: str, number: int | None, body: bytes) -> bytes:
    """The number is what a client sends back as Last-Event-ID; None: it is none of the turn's."""
    if number is None:
        return b"event: %b\ndata: %b\n\n" % (kind.encode(), body)
    return b"id: %d\nevent: %b\ndata: %b\n\n" % (number, kind.encode(), body)
