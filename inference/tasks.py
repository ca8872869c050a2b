"""The run of everything that is answered whole: embeddings, images, transcripts, labels …

An endpoint describes its work as a Task; `run_task` takes it through the pipeline.
"""

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from operator import attrgetter
from typing import Any, Protocol

from agentflare.concurrency import in_parallel
from agentflare.errors import GatewayError
from billing.usage.models import Status
from inference.attempts import Prepared, Target
from inference.catalog.selectors import Offer
from inference.metering import native
from inference.metering.measured import Measured, sum_of
from inference.metering.meter import HIT
from inference.pipeline import Admitted, Call, Told, admit_call
from inference.stopping import require_running
from inference.upstreams import client
from inference.upstreams.client import Answer
from inference.upstreams.failures import UpstreamCallError
from inference.upstreams.requests import UpstreamRequest

logger = logging.getLogger(__name__)
# Calls that one request may have running upstream at once.
_AT_ONCE = 4


@dataclass(frozen=True, slots=True)
class Part:
    """One answer of upstream, read: what the result is made from, and what it used."""

    value: Any
    used: Measured
    is_cached: bool = False


class Task(Protocol):
    """What one endpoint asks of a model."""

    def prepare(self, offer: Offer) -> Prepared:
        """The calls that it takes: `work` is a list of UpstreamRequest, answered in order.

        Raises GatewayError where this model cannot do it.
        """
        ...

    def read(self, offer: Offer, request: UpstreamRequest, answer: Answer) -> Part:
        """Raises UpstreamCallError for an answer of no known form: it is asked for again."""
        ...


@dataclass(frozen=True, slots=True)
class Done:
    """A task's end: its parts in the order of its calls, and the money."""

    offer: Offer
    parts: list[Part]
    used: Measured
    told: Told
    headers: dict[str, str]

    @property
    def values(self) -> list[Any]:
        return [part.value for part in self.parts]


def run_task(
    call: Call,
    task: Task,
    *,
    check: Callable[[Offer, list[Part]], None] | None = None,
    error_of: Callable[[UpstreamCallError], GatewayError] = attrgetter("error"),
) -> Done:
    """Admit, call, read, capture. All parts or nothing: a task that fails costs nothing.

    check: whether the parts together are what the endpoint needs; raises UpstreamCallError.
    error_of: what the client reads of a failure: another than its own where upstream finds fault
    with what the endpoint, and not the client, asked for.
    Raises GatewayError.
    """
    admitted = admit_call(call, prepare=task.prepare)
    made: list[Part] = []
    try:
        parts = _call_all(admitted, task, made)
        offer = admitted.meter.offer
        if check:
            check(offer, parts)
        used = _capture(admitted, parts)
    except UpstreamCallError as failure:
        logger.warning("Upstream failed: %s", failure.log_line)
        error = error_of(failure)
        _note_waste(admitted, made)
        admitted.meter.finish(
            status=Status.UPSTREAM_FAILED,
            used=Measured(),
            upstream_request_id=failure.request_id,
            error_code=error.code or error.type,
        )
        raise error from failure
    except BaseException:
        _note_waste(admitted, made)
        admitted.meter.finish(
            status=Status.UPSTREAM_FAILED, used=Measured(), error_code="internal_error"
        )
        raise
    return Done(offer, parts, used, admitted.told(), admitted.headers())


def _capture(admitted: Admitted, parts: list[Part]) -> Measured:
    """Returns what was used. Raises UpstreamCallError as `Meter.finish`."""
    used = sum_of([part.used for part in parts])
    cached = sum_of([part.used for part in parts if part.is_cached])
    all_cached = all(part.is_cached for part in parts)
    admitted.meter.note_cache(is_hit=all_cached)
    admitted.meter.finish(status=Status.COMPLETED, used=used, cached=used if all_cached else cached)
    return used


def _call_all(admitted: Admitted, task: Task, made: list[Part]) -> list[Part]:
    """The first call decides who answers; the others go to the same model, some at a time.

    The largest is the first: if any of them is refused it is that one, and nothing of the others
    has been made for nothing.
    """
    first = _largest(admitted.candidates[0].work)
    parts = {first: _call_one(admitted, task, first)}
    made.append(parts[first])
    served = admitted.attempts.served
    assert served is not None

    def call(position: int) -> None:
        parts[position] = _call_one(admitted, task, position)
        made.append(parts[position])

    others = [position for position in range(len(served.work)) if position != first]
    in_parallel([partial(call, position) for position in others], at_once=_AT_ONCE)
    return [part for _, part in sorted(parts.items())]


def _largest(requests: Sequence[UpstreamRequest]) -> int:
    fields = [native.fields_of(request) for request in requests]
    sizes = [sum(map(len, native.read_as_text(each).texts)) for each in fields]
    return sizes.index(max(sizes))


def _note_waste(admitted: Admitted, made: list[Part]) -> None:
    """What had been made before another part failed: paid by us alone."""
    admitted.meter.wasted = sum_of([part.used for part in made if not part.is_cached])


def _call_one(admitted: Admitted, task: Task, position: int) -> Part:
    def attempt(target: Target) -> Part:
        request: UpstreamRequest = target.prepared.work[position]
        answer = client.send(
            target.account,
            target.offer.upstream_model,
            request,
            context=admitted.call.context,
            reject_if_busy=target.reject_if_busy,
        )
        try:
            admitted.meter.answered(answer)
            part = readable(lambda: task.read(target.offer, request, answer))
            return replace(part, is_cached=answer.cache_status == HIT)
        finally:
            answer.close()

    part: Part = admitted.attempts.run(attempt)
    require_running(admitted.meter.hold)
    return part


def readable(read: Callable[[], Part]) -> Part:
    """A shape that nobody expects is upstream's fault. Raises UpstreamCallError."""
    try:
        return read()
    except (ArithmeticError, AttributeError, LookupError, TypeError, ValueError) as exc:
        raise UpstreamCallError.unreadable(f"{type(exc).__name__}: {exc}") from exc
