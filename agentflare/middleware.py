"""Around every request: its id, and errors below /v1 in the envelope of its API."""

import logging
import time
from collections.abc import Callable
from typing import Any

from django.conf import settings
from django.db import connection
from django.http import HttpRequest, HttpResponse, HttpResponseBase, StreamingHttpResponse

from agentflare import api, degraded, envelopes, errors, logs, served, tracing
from agentflare.client_ip import client_ip
from agentflare.ids import uuid7
from agentflare.metrics import RESPONSES, of

logger = logging.getLogger(__name__)
access = logging.getLogger("agentflare.access")
_NOT_TOLD = ("/health/", "/metrics", "/static/")
GetResponse = Callable[[HttpRequest], HttpResponseBase]


def is_api(request: HttpRequest) -> bool:
    return request.path_info.startswith("/v1/") or request.path_info == "/v1"


class RequestIdMiddleware:
    """Gives every request an id, and every answer `x-request-id`.

    The id is ours and never the client's: it names the hold and the usage record,
    and must not be used twice. Below /v1 the answer also has the headers that OpenAI's
    clients read, or `request-id` where Anthropic's do.
    """

    def __init__(self, get_response: GetResponse) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponseBase:
        started = time.perf_counter()
        request.id = uuid7()  # type: ignore[attr-defined]  # Django offers no typed place for it
        request_id = envelopes.request_id_of(request)
        logs.begin(request_id=request_id)
        is_told = not request.path_info.startswith(_NOT_TOLD)
        span = _begin_span(request, request_id) if is_told and tracing.is_active() else None
        response = self.get_response(request)
        response["x-request-id"] = request_id
        if stores := degraded.stores():
            response[degraded.HEADER] = ", ".join(stores)
        if envelopes.speaks_anthropic(request):
            response["request-id"] = response["x-request-id"]
        elif is_api(request):
            elapsed_ms = (time.perf_counter() - started) * 1000
            response["openai-processing-ms"] = str(max(1, round(elapsed_ms)))
            response["openai-version"] = "2020-10-01"
        if is_api(request):
            of(RESPONSES, str(response.status_code)).inc()
        if request.method == "HEAD":
            drop_body(response)
        begun_ms = (time.perf_counter() - started) * 1000

        def ended() -> None:
            tracing.end(span, status=response.status_code)
            if settings.ACCESS_LOG:
                note_access(request, response, started, begun_ms)

        if is_told and (span is not None or settings.ACCESS_LOG):
            if isinstance(response, StreamingHttpResponse):
                at_the_end(response, ended)
            else:
                ended()
        return response


def _begin_span(request: HttpRequest, request_id: str) -> Any:
    """In the caller's trace, if it is in one."""
    return tracing.begin(
        f"{request.method} {'/v1' if is_api(request) else 'page'}",
        parent=request.headers.get("traceparent", "")[:60],
        http__request__method=request.method,
        url__path=logs.masked(request.path_info),
        agentflare__request_id=request_id,
    )


def note_access(
    request: HttpRequest, response: HttpResponseBase, started: float, begun_ms: float
) -> None:
    """One line for a request, when its answer has ended. Its query may hold what is nobody's
    business, and is left out."""
    facts = {
        "method": request.method,
        "path": request.path_info,
        "status": response.status_code,
        "ms": round((time.perf_counter() - started) * 1000, 1),
        "begun_ms": round(begun_ms, 1),
        "ip": client_ip(request),
        "model": response.get("x-agentflare-model"),
        "attempts": response.get("x-agentflare-attempts"),
    }
    access.info(
        "%s %s %d",
        request.method,
        request.path_info,
        response.status_code,
        extra={name: value for name, value in facts.items() if value is not None},
    )


def at_the_end(response: StreamingHttpResponse, then: Callable[[], None]) -> None:
    """Call it once the last of the stream was sent, or its client has left."""
    close = response.close

    def close_and_tell() -> None:
        try:
            close()
        finally:
            then()

    response.close = close_and_tell  # type: ignore[method-assign]


def drop_body(response: HttpResponseBase) -> None:
    """The headers of a GET without its body, as HEAD asks. One that streams makes none of it."""
    if isinstance(response, StreamingHttpResponse):
        response.streaming_content = ()
    if not isinstance(response, HttpResponse):
        return
    length = str(len(response.content))
    response.content = b""
    response["Content-Length"] = length


class PublicSchemaMiddleware:
    """Every request starts in the shared schema, whatever this thread did before.

    Tenants are entered by name (`with tenant_schema(…)`), never by host.
    """

    def __init__(self, get_response: GetResponse) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponseBase:
        database: Any = connection  # Django's proxy of tenants.postgresql's wrapper
        if database.schema_name != "public":
            database.set_schema_to_public()
        return self.get_response(request)


class ReleaseMiddleware:
    """503 for all but probes while code and database are of different releases."""

    def __init__(self, get_response: GetResponse) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponseBase:
        if not served.why_not() or request.path_info.startswith(_NOT_TOLD):
            return self.get_response(request)
        error = served.unavailable()
        if is_api(request):
            return api.error_response(error, request=request)
        # No template: whatever it would show may be what cannot be read.
        return HttpResponse(
            error.message, status=503, headers=error.headers, content_type="text/plain"
        )


class ApiErrorMiddleware:
    """Below /v1 nothing but an API's envelope leaves the house: no HTML, no redirect."""

    def __init__(self, get_response: GetResponse) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponseBase:
        if not is_api(request):
            return self.get_response(request)
        limit = settings.DATA_UPLOAD_MAX_MEMORY_SIZE
        if int(request.META.get("CONTENT_LENGTH") or 0) > limit:
            return api.error_response(errors.BodyTooLargeError(limit), request=request)
        return self.get_response(request)

    def process_exception(self, request: HttpRequest, exc: Exception) -> HttpResponseBase | None:
        if not is_api(request):
            return None
        if error := api.as_gateway_error(exc):
            return api.error_response(error, request=request)
        logger.exception("Unhandled error in %s %s", request.method, request.path)
        return api.server_error(request)
