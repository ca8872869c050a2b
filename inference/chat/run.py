"""An admitted chat: started, read once, captured once."""

import logging
from collections.abc import Iterator
from itertools import chain
from typing import Any, Protocol

from agentflare.errors import GatewayError
from billing.admission import stops
from billing.usage.models import Status
from inference.chat.events import Delta, Event, Finish, Usage
from inference.chat.upstream import UpstreamChat
from inference.metering.measured import Measured, sum_of
from inference.pipeline import Admitted, Told
from inference.stopping import require_running, status_of, true_cause
from inference.upstreams.failures import UpstreamCallError

logger = logging.getLogger(__name__)


class Dialect(Protocol):
    """The form in which one kind of client reads a chat: one for each endpoint.

    Streams: `begin`, `write` for every event, `end`; or `error` instead of what is left.
    """

    system_fingerprint: str | None

    def whole(self, events: list[Event], usage: Usage, told: Told) -> dict[str, Any]: ...

    def begin(self) -> bytes: ...

    def write(self, event: Event) -> bytes: ...

    def end(self, usage: Usage, told: Told) -> bytes: ...

    def error(self, error: GatewayError) -> bytes: ...


class ChatCall:
    """`start` it, then read it with `whole` or `events`, once; `usage` is known at its end.

    Whatever happens, the call is captured exactly once: at its end, when the client leaves
    (`close`, `client_left`), or when upstream breaks.
    """

    def __init__(self, admitted: Admitted) -> None:
        self.admitted = admitted
        self.meter = admitted.meter
        self.usage = Usage()
        self.upstream = UpstreamChat(
            admitted.attempts,
            meter=admitted.meter,
            context=admitted.call.context,
            is_stream=admitted.call.is_stream,
        )
        self.finish_reason = ""
        self._delivered = False
        self.has_lost_client = False
        self._events: Iterator[Event] = iter(())
        # If this process dies, the repeat of an idempotent call pays for all of it.
        if not admitted.call.is_idempotent:
            self.meter.used_so_far = self._delivered_use

    def start(self) -> None:
        """Step 6: call, and wait for the first piece of the answer.

        Raises GatewayError; then the call is recorded, and costs nothing.
        """
        if self.admitted.call.is_stream:
            stops.watch(self.meter.hold, self.upstream.abort)
        events = self.upstream.events()
        try:
            first = next(events, None)
        except UpstreamCallError as failure:
            raise self._fail(failure).error from failure
        except BaseException:
            self.meter.finish(
                status=Status.UPSTREAM_FAILED, used=Measured(), error_code="internal_error"
            )
            raise
        self._events = self._watched(chain([] if first is None else [first], events))

    def whole(self) -> list[Event]:
        """All of the answer. Raises GatewayError when upstream breaks off: then nothing of it
        reaches the client, and nothing is charged."""
        try:
            events = list(self._events)
            self._end()
        except UpstreamCallError as failure:
            self._delivered = False
            raise self._fail(failure).error from failure
        except BaseException:
            self._delivered = False
            self.close()
            raise
        return events

    def events(self) -> Iterator[Event]:
        """The answer as it comes. Raises GatewayError when upstream breaks off: what came before
        it is charged."""
        try:
            yield from self._events
            self._end()
        except UpstreamCallError as failure:
            raise self._fail(failure).error from failure
        finally:
            self.close()

    def client_left(self) -> None:
        """The client has closed its connection: stop upstream's work at once."""
        self.has_lost_client = True
        self.upstream.abort()

    def close(self) -> None:
        """End the run wherever it is: what was delivered is charged. A repeat changes nothing."""
        if self.meter.captured is None:
            self.upstream.abort()
            self._capture(Status.CLIENT_GONE, self._delivered_use())

    def headers(self) -> dict[str, str]:
        return self.admitted.headers()

    # --- money ------------------------------------------------------------------

    def _end(self) -> None:
        self.usage, truth = self.upstream.usage()
        self._capture(self._good_end(), self.usage.measured(truth))

    def _good_end(self) -> Status:
        return Status.COMPLETED if self.upstream.has_output else Status.EMPTY

    def _fail(self, failure: UpstreamCallError) -> UpstreamCallError:
        """Upstream failed: before the first token nothing is owed, after it what was delivered.
        Returns what the client is told.

        An answer that we broke off because the client has left fails too.
        """
        if self.has_lost_client:
            self.close()
            return failure
        failure = true_cause(failure, self.meter.hold)
        logger.warning("The call failed: %s", failure.log_line)
        error = failure.error
        self._note_waste()
        self.meter.finish(
            status=status_of(failure, delivered=self._delivered),
            used=self._delivered_use(),
            upstream_request_id=failure.request_id,
            error_code=error.code or error.type,
        )
        return failure

    def _capture(self, status: Status, used: Measured) -> None:
        self._note_waste()
        self.meter.finish(
            status=status,
            used=used,
            finish_reason=self.finish_reason,
            is_cut=self.upstream.is_cut,
        )

    def _note_waste(self) -> None:
        self.meter.wasted = sum_of(self.upstream.wasted_measures())

    def _delivered_use(self) -> Measured:
        """Nothing delivered, nothing used: a prompt alone is not charged. Where the whole was
        not delivered, Cloudflare's neurons for the whole are not ours to charge."""
        if not self._delivered:
            return Measured()
        return self.upstream.partly_measured()

    # --- watching what passes ---------------------------------------------------

    def _watched(self, events: Iterator[Event]) -> Iterator[Event]:
        for event in events:
            require_running(self.meter.hold)
            if self.has_lost_client:
                raise UpstreamCallError.broken("the client has left")
            if isinstance(event, Delta):
                if not self._delivered:
                    self._delivered = True
                    self.meter.first_token()
            elif isinstance(event, Finish):
                self.finish_reason = event.reason
            yield event


class ChatRun(ChatCall):
    """The same in one client's dialect: read it with `completion` or `chunks`, once."""

    def __init__(self, admitted: Admitted, dialect: Dialect) -> None:
        super().__init__(admitted)
        self.dialect = dialect

    def start(self) -> None:
        super().start()
        self.dialect.system_fingerprint = self.upstream.system_fingerprint

    def completion(self) -> dict[str, Any]:
        """The whole answer. Raises GatewayError when upstream breaks off."""
        events = self.whole()
        return self.dialect.whole(events, self.usage, self.admitted.told())

    def chunks(self) -> Iterator[bytes]:
        """Server-sent events to the end; after the first one an error is an event too."""
        try:
            if begin := self.dialect.begin():
                yield begin
            for event in self.events():
                yield self.dialect.write(event)
            yield self.dialect.end(self.usage, self.admitted.told())
        except GatewayError as error:
            if not self.has_lost_client:
                yield self.dialect.error(error)
        finally:
            self.close()
