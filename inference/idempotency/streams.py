"""A stream that goes on to its end when its client has left, to be kept for the retry."""

import logging
import queue
import threading
import time
from collections.abc import Iterable, Iterator

import orjson
from django.db import connections
from django.http import StreamingHttpResponse

from inference.idempotency.answers import PackedStream, head_of
from inference.idempotency.store import Claim

logger = logging.getLogger(__name__)
# The end of a chat, a response, a message or a turn, as server-sent events. JSON has no line
# breaks, so no text of a model reads like these.
_LAST_EVENTS = (
    b"\ndata: [DONE]",
    b"\nevent: response.completed",
    b"\nevent: response.incomplete",
    b"\nevent: message_stop",
    b"\nevent: turn.completed",
    b"\nevent: turn.incomplete",
    b"\nevent: turn.requires_action",
)
_EVENT_STREAM = "text/event-stream"

_running: set[threading.Thread] = set()


def detach(response: StreamingHttpResponse, claim: Claim) -> StreamingHttpResponse:
    """The same answer, read from its run in the background, whoever listens.

    The run's thread (a greenlet in a web worker) starts here, and keeps the answer or
    releases the claim at its end.
    """
    run = _DetachedRun(response, claim)
    run.start()
    return StreamingHttpResponse(
        run.pieces(), status=response.status_code, headers=dict(response.items())
    )


def wait_for_all(timeout_s: float) -> bool:
    """Wait for the runs of this process that have lost their client. For a process that ends."""
    deadline = time.monotonic() + timeout_s
    for thread in list(_running):
        thread.join(max(0.0, deadline - time.monotonic()))
    return not _running


class _DetachedRun:
    def __init__(self, response: StreamingHttpResponse, claim: Claim) -> None:
        self._response = response
        self._claim = claim
        self._is_events = response.get("Content-Type", "").startswith(_EVENT_STREAM)
        # None: the end. Without a bound: the run must not wait for a slow client, or for one
        # that has left; an answer is no larger than its model makes it.
        self._pieces: queue.SimpleQueue[bytes | None] = queue.SimpleQueue()
        self._has_reader = True
        self._error: BaseException | None = None

    def start(self) -> None:
        thread = threading.Thread(target=self._run, name="idempotent-stream", daemon=True)
        _running.add(thread)
        thread.start()

    def pieces(self) -> Iterator[bytes]:
        """What the client reads. Raises what the run raised: the connection then breaks."""
        try:
            while (piece := self._pieces.get()) is not None:
                yield piece
            if self._error is not None:
                raise self._error
        finally:
            self._has_reader = False
            self._pieces = queue.SimpleQueue()

    # --- in the background ------------------------------------------------------

    def _run(self) -> None:
        held_back: list[bytes] = []
        packed, last_event = PackedStream(), LastEvent()
        try:
            for piece in _bytes_of(self._response):
                packed.add(piece)
                if self._is_events:
                    last_event.add(piece)
                # A client may come again as soon as it has read the last event: not before
                # the answer is kept.
                if held_back or (self._is_events and _has_last_event(piece)):
                    held_back.append(piece)
                else:
                    self._pass_on(piece)
            self._response.close()
            self._keep_or_release(packed, last_event)
        except BaseException as exc:
            self._error = exc
            logger.info("A stream with an Idempotency-Key broke: %r", exc)
            self._give_up()
        finally:
            for piece in held_back:
                self._pass_on(piece)
            self._pieces.put(None)
            # Of this thread: nobody else gives them back.
            connections.close_all()
            _running.discard(threading.current_thread())

    def _keep_or_release(self, packed: PackedStream, last_event: "LastEvent") -> None:
        if self._is_events and last_event.is_error:
            self._claim.release()
            return
        head = head_of(self._response, request_id=self._claim.request_id)
        self._claim.keep(head, packed.body())

    def _give_up(self) -> None:
        try:
            self._response.close()
        finally:
            self._claim.release()

    def _pass_on(self, piece: bytes) -> None:
        if self._has_reader:
            self._pieces.put(piece)


def _has_last_event(piece: bytes) -> bool:
    text = b"\n" + piece
    return any(event in text for event in _LAST_EVENTS)


def _bytes_of(response: StreamingHttpResponse) -> Iterable[bytes]:
    # Of a response that is streamed asynchronously there is none.
    yield from response.streaming_content  # type: ignore[misc]


class LastEvent:
    """The last of the server-sent events that pass, whatever pieces they come in."""

    def __init__(self) -> None:
        self._text = bytearray()

    def add(self, piece: bytes) -> None:
        unread = max(0, len(self._text) - 3)
        self._text += piece
        # The blank line before the last event, not the one that ends it.
        cut = self._text.rfind(b"\n\n", unread, len(self._text) - 2)
        if cut >= 0:
            del self._text[: cut + 2]

    @property
    def is_error(self) -> bool:
        """Whether it says that the answer did not come to its end: OpenAI's error events."""
        name, data = b"", b""
        for line in self._text.split(b"\n"):
            field, _, value = line.partition(b":")
            if field == b"event":
                name = bytes(value.strip())
            elif field == b"data":
                data += value
        if name in {b"error", b"response.failed"}:
            return True
        try:
            told = orjson.loads(data)
        except orjson.JSONDecodeError:
            return False
        if not isinstance(told, dict):
            return False
        return told.get("error") is not None or told.get("type") in {"error", "response.failed"}
