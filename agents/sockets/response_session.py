"""OpenAI's Responses over a WebSocket: `response.create`, one after the other.

A response that is not stored can be followed by the next over the same WebSocket. Closing it ends
the one that is under way, as leaving does over HTTP.
"""

import logging
import queue
import threading
import time
from typing import Literal

import orjson
from django.db import connections

from agentflare.api import validated
from agentflare.errors import GatewayError, InvalidRequestError
from agentflare.ids import uuid7
from agents.conversations.objects import without_id
from agents.responses.create import Remembered, begin_response, call_for
from agents.responses.params import ResponseParams
from agents.sockets.codes import Code
from agents.sockets.connection import Connection, SocketClosedError
from agents.sockets.door import Visitor
from agents.sockets.rate import Rate
from agents.sockets.refusals import Asked, error_message, refusal_of
from agents.turns.run import TurnRun
from inference import progress
from tenants.keys.lookup import KeyRecord

logger = logging.getLogger(__name__)
MAX_WAITING = 32
IDLE_S = 15 * 60.0


class ResponseSession:
    def __init__(self, connection: Connection, visitor: Visitor) -> None:
        self.connection = connection
        self.visitor = visitor
        self._rate = Rate()
        self._asked: queue.Queue[str | None] = queue.Queue(MAX_WAITING)
        self._run: TurnRun | None = None
        self._remembered: Remembered | None = None
        self._heard_at = time.monotonic()
        self._worker: threading.Thread | None = None

    def check(self) -> None:
        """Nothing is asked for yet."""

    def run(self) -> None:
        """Until it is closed. Raises SocketClosedError."""
        while True:
            text = self.connection.receive()
            self._heard_at = time.monotonic()
            if not self._rate.take():
                self.connection.close(Code.TOO_FAST, "more messages came than are taken")
                raise SocketClosedError
            try:
                self._asked.put_nowait(text)
            except queue.Full:
                self._refuse(
                    InvalidRequestError(
                        f"At most {MAX_WAITING} responses wait for their turn.",
                        code="too_many_turns",
                    )
                )
                continue
            self._start_worker()

    def end(self) -> None:
        if self._worker is not None:
            self._asked = queue.Queue(MAX_WAITING)
            if self._run is not None:
                self._run.client_left()

    def is_idle(self) -> bool:
        is_busy = self._run is not None or not self._asked.empty()
        return not is_busy and time.monotonic() - self._heard_at > IDLE_S

    # --- one after the other, beside the reading ----------------------------------------

    def _start_worker(self) -> None:
        """An idle WebSocket has none."""
        if self._worker is None or not self._worker.is_alive():
            self._worker = threading.Thread(target=self._work, name="socket", daemon=True)
            self._worker.start()

    def _work(self) -> None:
        try:
            while self.connection.is_open and not self._asked.empty():
                text = self._asked.get()
                if text is not None:
                    self._answer(text)
        except SocketClosedError:
            logger.debug("Nobody reads the rest")
        finally:
            connections.close_all()

    def _answer(self, text: str) -> None:
        asked = Asked(uuid7(), "/v1/responses")
        record: KeyRecord | None = None
        try:
            record = self.visitor.record()
            params = _params(text)
            progress.note_asked(asked.id, params.model)
            call = call_for(
                record,
                params,
                request_id=asked.id,
                cache_ttl_s=record.cache_ttl_s,
                shrink_to_fit=record.shrink_to_fit,
            )
            self._run = begin_response(call, params, remembered=self._remembered)
            self._run.start()
            self._relay(self._run, params)
        except SocketClosedError:
            raise
        except Exception as exc:
            self._refuse(refusal_of(exc, asked, record))
        finally:
            self._run = None

    def _relay(self, run: TurnRun, params: ResponseParams) -> None:
        try:
            for event in run.events():
                self.connection.send(orjson.dumps(event).decode())
        finally:
            run.close()
        if not params.is_stored:
            items = [*run.before, *run.items, *run.state.output]
            self._remembered = Remembered(run.state.id, [without_id(item) for item in items])

    def _refuse(self, error: GatewayError) -> None:
        self.connection.send(orjson.dumps(error_message(error)).decode())


class _Create(ResponseParams):
    type: Literal["response.create"]
    stream_id: str | None = None
    """Without a meaning over a WebSocket."""
    generate: bool | None = None


def _params(text: str) -> ResponseParams:
    """Raises GatewayError."""
    params = validated(_Create, text.encode())
    for name, refused in (("background", True), ("generate", False)):
        if getattr(params, name) is refused:
            raise InvalidRequestError(f"'{name}' is not supported over a WebSocket.", param=name)
    return params.model_copy(update={"stream": True})
