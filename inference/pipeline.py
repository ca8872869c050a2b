"""The path of a request, from the key to the outbox. The same for every endpoint.

    1 key        tenants.keys.authentication, before the view
    2 params     the view: pydantic models in chat/params.py
    3 route      the catalogue: AI model and price
    4 estimate   the most the call can cost
    5 admit      one step in Redis: standing, money, hold
    6 call       Workers AI, again where that is safe
    7 shape      OpenAI's objects and chunks
    8 capture    one step in Redis: the hold ends, the cost is taken, the event is out
    9 settle     Celery: billing.settlement, from the outbox into the ledger

No transaction of PostgreSQL is open here, and nothing waits for Celery.
"""

import logging
import time
from collections.abc import Iterator
from itertools import chain
from typing import Any
from uuid import UUID

from agentflare.errors import GatewayError, NotFoundError
from agentflare.money import format_usd
from billing.admission.services import Captured, admit
from billing.usage.events import UsageEvent
from billing.usage.models import Status, Truth
from inference.catalog.selectors import Offer, catalogue
from inference.chat import shape
from inference.chat.estimate import Estimate, estimate_chat
from inference.chat.events import Delta, Event, Finish, Usage
from inference.chat.meter import Meter
from inference.chat.params import ChatCompletionParams
from inference.chat.requests import check_supported, upstream_body
from inference.chat.shape import Choice, ChunkWriter, Shape, Told
from inference.chat.upstream import UpstreamChat
from inference.workers_ai.client import CallContext, configured_account
from inference.workers_ai.failures import UpstreamCallError
from tenants.keys.lookup import KeyRecord

logger = logging.getLogger(__name__)


def admit_chat(*, caller: KeyRecord, params: ChatCompletionParams, request_id: UUID) -> "ChatRun":
    """Steps 3 to 5: the run, with its money held. The caller starts it, or closes it.

    Raises GatewayError; then nothing is held and upstream is not called.
    """
    params.check()
    offer = route(params.model, kind="chat")
    check_supported(params, offer)
    body = upstream_body(params, offer)
    estimate = estimate_chat(params, offer, body)
    hold = admit(
        event=UsageEvent(
            request_id=request_id.hex,
            tenant_code=caller.tenant_code,
            key_id=caller.key_id,
            endpoint="chat.completions",
            ai_model=offer.name,
            upstream_model=offer.upstream_model,
            is_stream=bool(params.stream),
            estimated_nusd=estimate.cost_nusd,
            price_version_id=offer.price.version_id,
            started_at=time.time(),
        )
    )
    meter = Meter(hold, offer=offer)
    upstream = UpstreamChat(
        params,
        offer,
        body,
        estimate=estimate,
        account=configured_account(),
        context=CallContext(caller.tenant_code, caller.key_id, request_id.hex),
        meter=meter,
    )
    return ChatRun(params, estimate=estimate, meter=meter, upstream=upstream, request_id=request_id)


def route(name: str, *, kind: str) -> Offer:
    """The model that a client names, if it can do this kind of work.

    Raises ModelNotFoundError, or NotFoundError for a model of another kind.
    """
    offer = catalogue().find(name)
    if offer.kind != kind:
        raise NotFoundError(
            f"The model `{name}` is a model for {offer.kind} and not supported in the "
            f"v1/{kind}/completions endpoint.",
            param="model",
            code="model_not_supported",
        )
    return offer


class ChatRun:
    """An admitted chat: `start` it, then read it with `completion` or `chunks`, once.

    Whatever happens, the call is captured exactly once: at its end, when the client leaves
    (`close`, `client_left`), or when upstream breaks.
    """

    def __init__(
        self,
        params: ChatCompletionParams,
        *,
        estimate: Estimate,
        meter: Meter,
        upstream: UpstreamChat,
        request_id: UUID,
    ) -> None:
        self.params = params
        self.estimate = estimate
        self.meter = meter
        self.upstream = upstream
        self.shape = Shape(f"chatcmpl-{request_id.hex}", int(time.time()), params.model)
        self.finish_reason = ""
        self._delivered = False
        self._client_gone = False
        self._events: Iterator[Event] = iter(())
        meter.usage_so_far = self._usage_so_far

    def start(self) -> None:
        """Step 6: call, and wait for the first piece of the answer.

        Raises GatewayError; then the call is recorded, and costs nothing.
        """
        events = self.upstream.events()
        try:
            first = next(events, None)
        except UpstreamCallError as failure:
            self._fail(failure)
            raise failure.error from failure
        except BaseException:
            self.meter.finish(
                status=Status.UPSTREAM_FAILED,
                usage=Usage(),
                truth=Truth.COUNTED,
                error_code="internal_error",
            )
            raise
        self.shape.system_fingerprint = self.upstream.system_fingerprint
        self._events = self._watched(chain([] if first is None else [first], events))

    # --- a whole completion -----------------------------------------------------

    def completion(self) -> dict[str, Any]:
        """The chat.completion object. Raises GatewayError when upstream breaks off."""
        try:
            choices = shape.gather(self._events)
        except UpstreamCallError as failure:
            # Nothing of it reaches the client.
            self._delivered = False
            self._fail(failure)
            raise failure.error from failure
        except BaseException:
            self._delivered = False
            self.close()
            raise
        if not choices:
            choices = [Choice(index) for index in range(self.params.choices)]
        objects = [choice.object() for choice in choices]
        usage, truth = self._final_usage()
        self._capture(self._good_end(), usage, truth)
        return shape.completion_object(self.shape, objects, shape.usage_object(usage, self.told()))

    # --- a stream ---------------------------------------------------------------

    def chunks(self) -> Iterator[bytes]:
        """Server-sent events to the end; after the first one an error is an event too."""
        writer = ChunkWriter(self.shape, include_usage=self.params.includes_usage)
        try:
            for event in self._events:
                yield writer.write(event)
            usage, truth = self._final_usage()
            self._capture(self._good_end(), usage, truth)
            if self.params.includes_usage:
                yield writer.write_usage(shape.usage_object(usage, self.told()))
            yield shape.DONE
        except UpstreamCallError as failure:
            self._fail(failure)
            if not self._client_gone:
                yield shape.chunk(failure.error.body())
        finally:
            self.close()

    def client_left(self) -> None:
        """The client has closed its connection: stop upstream's work at once."""
        self._client_gone = True
        self.upstream.abort()

    def close(self) -> None:
        """End the run wherever it is: what was delivered is charged. A repeat changes nothing."""
        if self.meter.captured is None:
            self.upstream.abort()
            usage, _ = self.upstream.usage()
            self._capture(Status.CLIENT_GONE, self._delivered_usage(usage), Truth.COUNTED)

    # --- money ------------------------------------------------------------------

    def told(self) -> Told:
        captured = self._captured()
        available = captured.available_nusd
        return Told(
            estimated_cost=format_usd(self.estimate.cost_nusd),
            request_cost=format_usd(captured.cost_nusd),
            balance_remaining=None if available is None else format_usd(available),
        )

    def headers(self) -> dict[str, str]:
        """Money as headers: the cost only where it is known before the body."""
        available: int | None = self.meter.hold.available_nusd
        headers = {"X-Estimated-Cost": format_usd(self.estimate.cost_nusd)}
        if self.meter.captured is not None:
            headers["X-Request-Cost"] = format_usd(self.meter.captured.cost_nusd)
            available = self.meter.captured.available_nusd
        if available is not None:
            headers["X-Balance-Remaining"] = format_usd(available)
        return headers

    def _captured(self) -> Captured:
        assert self.meter.captured is not None
        return self.meter.captured

    def _good_end(self) -> Status:
        return Status.COMPLETED if self.upstream.has_output else Status.EMPTY

    def _fail(self, failure: UpstreamCallError) -> None:
        """Upstream failed: before the first token nothing is owed, after it what was delivered.

        An answer that we broke off because the client has left fails too.
        """
        if self._client_gone:
            self.close()
            return
        logger.warning("Upstream failed: %s", failure.detail)
        usage, _ = self.upstream.usage()
        status = Status.UPSTREAM_BROKE if self._delivered else Status.UPSTREAM_FAILED
        error: GatewayError = failure.error
        self.meter.finish(
            status=status,
            usage=self._delivered_usage(usage),
            truth=Truth.COUNTED,
            upstream_request_id=failure.request_id or self.upstream.request_id,
            error_code=error.code or error.type,
        )

    def _capture(self, status: Status, usage: Usage, truth: Truth) -> None:
        self.meter.finish(
            status=status,
            usage=usage,
            truth=truth,
            upstream_request_id=self.upstream.request_id,
            finish_reason=self.finish_reason,
        )

    def _final_usage(self) -> tuple[Usage, Truth]:
        usage, told_by_upstream = self.upstream.usage()
        return usage, Truth.PROVIDER if told_by_upstream else Truth.COUNTED

    def _usage_so_far(self) -> Usage:
        return self._delivered_usage(self.upstream.usage()[0])

    def _delivered_usage(self, usage: Usage) -> Usage:
        """Nothing delivered, nothing used: a prompt alone is not charged."""
        return usage if self._delivered else Usage()

    # --- watching what passes ---------------------------------------------------

    def _watched(self, events: Iterator[Event]) -> Iterator[Event]:
        for event in events:
            if self.meter.hold.lost:
                raise UpstreamCallError.broken("the hold was taken for dead")
            if self._client_gone:
                raise UpstreamCallError.broken("the client has left")
            if isinstance(event, Delta):
                if not self._delivered:
                    self._delivered = True
                    self.meter.first_token()
            elif isinstance(event, Finish):
                self.finish_reason = event.reason
            yield event
