"""Traces for OpenTelemetry, from a request through its attempts upstream to the ledger.

Off unless OpenTelemetry's own variables name a collector (OTEL_EXPORTER_OTLP_ENDPOINT or
OTEL_EXPORTER_OTLP_TRACES_ENDPOINT); then nothing of its SDK is imported. Spans have names, sizes
and outcomes, by the semantic conventions for HTTP and generative AI
(https://opentelemetry.io/docs/specs/semconv/gen-ai/), never a prompt, an answer or a secret.
"""

import logging
import os
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from opentelemetry.trace import Span, Tracer

logger = logging.getLogger(__name__)
_OFF: AbstractContextManager[None] = nullcontext()
Attributes = Mapping[str, str | int | float | bool]


def is_on() -> bool:
    """Whether the environment asks for traces."""
    env = os.environ
    has_collector = any(
        env.get(name)
        for name in ("OTEL_EXPORTER_OTLP_ENDPOINT", "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT")
    )
    return (
        has_collector
        and env.get("OTEL_TRACES_EXPORTER", "otlp") == "otlp"
        and env.get("OTEL_SDK_DISABLED", "").lower() != "true"
    )


_is_on = is_on()
_tracers: dict[int, "Tracer"] = {}


def is_active() -> bool:
    """Whether it did so when this process began."""
    return _is_on


def span(
    name: str, *, kind: str = "internal", parent: str = "", **attributes: Any
) -> AbstractContextManager["Span | None"]:
    """A span around what is done inside; None while there are none.

    kind: internal, server, client, consumer. parent: a traceparent; by default what is under way.
    attributes: with "__" for ".": those of None are left out. What leaves it by an exception fails.
    """
    return _span(name, kind, parent, attributes) if _is_on else _OFF


@contextmanager
def _span(
    name: str, kind: str, parent: str, attributes: Mapping[str, Any]
) -> Iterator["Span | None"]:
    from opentelemetry.trace import SpanKind, Status, StatusCode

    with _tracer().start_as_current_span(
        name,
        context=_context_of(parent),
        kind=SpanKind[kind.upper()],
        attributes=_named(attributes),
        # The exception's words may quote what somebody sent.
        record_exception=False,
        set_status_on_exception=False,
    ) as current:
        try:
            yield current
        except BaseException as exc:
            current.set_attribute("error.type", type(exc).__name__)
            current.set_status(Status(StatusCode.ERROR))
            raise


def done(name: str, *, parent: str, began_ns: int, **attributes: Any) -> None:
    """A span of what has just ended, that began then (ns since 1970); none without a parent."""
    if not _is_on or not parent:
        return
    from opentelemetry.trace import SpanKind

    _tracer().start_span(
        name,
        context=_context_of(parent),
        kind=SpanKind.CONSUMER,
        attributes=_named(attributes),
        start_time=began_ns,
    ).end()


def begin(name: str, *, parent: str = "", **attributes: Any) -> "Span | None":
    """A server's span, current from here on, that `end` ends."""
    if not _is_on:
        return None
    from opentelemetry import context, trace

    started = _tracer().start_span(
        name,
        context=_context_of(parent) or context.Context(),
        kind=trace.SpanKind.SERVER,
        attributes=_named(attributes),
    )
    # Never detached: the next request of this greenlet or thread begins with another.
    context.attach(trace.set_span_in_context(started))
    return started


def end(started: "Span | None", *, status: int) -> None:
    """A repeat changes nothing."""
    if started is None or not started.is_recording():
        return
    from opentelemetry.trace import Status, StatusCode

    started.set_attribute("http.response.status_code", status)
    if status >= 500:
        started.set_status(Status(StatusCode.ERROR))
    started.end()


def note(**attributes: Any) -> None:
    """On the span that is under way."""
    if _is_on:
        from opentelemetry.trace import get_current_span

        get_current_span().set_attributes(_named(attributes))


def traceparent() -> str:
    """Of the span under way, as W3C's Trace Context writes it; "" while there is none."""
    if not _is_on:
        return ""
    return headers().get("traceparent", "")


def headers() -> dict[str, str]:
    """For whoever is called: `traceparent`, where there is one."""
    if not _is_on:
        return {}
    from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

    carrier: dict[str, str] = {}
    TraceContextTextMapPropagator().inject(carrier)
    carrier.pop("tracestate", None)
    return carrier


def flush() -> None:
    """What has not been sent yet, before the process ends."""
    provider = getattr(_tracers.get(os.getpid()), "agentflare_provider", None)
    if provider is not None:
        provider.shutdown()


def _context_of(parent: str) -> Any:
    if not parent:
        return None
    from opentelemetry import context
    from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

    # A nonsense leads to no parent.
    return TraceContextTextMapPropagator().extract(
        {"traceparent": parent}, context=context.Context()
    )


def _named(attributes: Mapping[str, Any]) -> dict[str, Any]:
    return {
        name.replace("__", "."): value for name, value in attributes.items() if value is not None
    }


def _tracer() -> "Tracer":
    """Of this process: the thread that sends does not outlive a fork."""
    tracer = _tracers.get(os.getpid())
    if tracer is None:
        tracer = _tracers[os.getpid()] = _make_tracer()
    return tracer


def _make_tracer() -> "Tracer":
    from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
    from opentelemetry.sdk.resources import Resource
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.sdk.trace.export import BatchSpanProcessor

    # What OTEL_RESOURCE_ATTRIBUTES and OTEL_SERVICE_NAME say stands before this.
    service = os.environ.get("OTEL_SERVICE_NAME") or "agentflare"
    provider = TracerProvider(resource=Resource.create({"service.name": service}))
    provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter()))
    tracer: Any = provider.get_tracer("agentflare")
    tracer.agentflare_provider = provider
    return tracer  # type: ignore[no-any-return]
