"""What the endpoints below /v1 share: who calls, streams, and what is not there."""

from collections.abc import Callable, Iterator
from typing import Protocol
from uuid import UUID

from django.http import HttpRequest, StreamingHttpResponse
from rest_framework.request import Request

from agentflare.api import ApiView, JsonResponse, not_found
from agentflare.errors import InvalidRequestError
from inference import disconnects, progress
from inference.idempotency.once import has_idempotency_key
from inference.pipeline import Admitted, Call
from tenants.keys.lookup import KeyRecord
from tenants.keys.settings import CACHE_TTL_S

CACHE_HEADER = "x-agentflare-cache-ttl"
SHRINK_HEADER = "x-agentflare-shrink-to-fit"


def caller(request: Request) -> KeyRecord:
    assert isinstance(request.auth, KeyRecord)
    return request.auth


def request_id(request: Request) -> UUID:
    """As RequestIdMiddleware made it."""
    made: UUID = request._request.id  # type: ignore[attr-defined]
    return made


def call_of(
    request: Request, *, endpoint: str, model: str, is_stream: bool = False, affinity: str = ""
) -> Call:
    """Raises InvalidRequestError for a header that makes no sense."""
    record = caller(request)
    made = request_id(request)
    progress.note_asked(made, model)
    return Call(
        caller=record,
        request_id=made,
        endpoint=endpoint,
        model=model,
        is_stream=is_stream,
        affinity=affinity,
        cache_ttl_s=cache_ttl_s(request, record),
        is_idempotent=has_idempotency_key(request._request),
        shrink_to_fit=shrinks_to_fit(request, record),
    )


def shrinks_to_fit(request: Request, record: KeyRecord) -> bool:
    """The request decides, else its tenant."""
    wanted = (_header(request, SHRINK_HEADER) or "").strip().lower()
    if wanted not in {"", "true", "false"}:
        raise InvalidRequestError(
            f"The header {SHRINK_HEADER} takes true or false.", param=SHRINK_HEADER
        )
    return record.shrink_to_fit if not wanted else wanted == "true"


def cache_ttl_s(request: Request, record: KeyRecord) -> int:
    """How long this answer may be taken from the cache: the request decides, else its key, else
    its tenant."""
    told = _header(request, CACHE_HEADER)
    if told is None:
        return record.cache_ttl_s
    wanted = told.strip()
    if wanted == "0":
        return 0
    if not wanted.isdecimal() or len(wanted) > 7 or int(wanted) not in CACHE_TTL_S:
        raise InvalidRequestError(
            f"The header {CACHE_HEADER} takes whole seconds from {CACHE_TTL_S[0]} to "
            f"{CACHE_TTL_S[-1]}, or 0 for no cache.",
            param=CACHE_HEADER,
        )
    return int(wanted)


def _header(request: Request, name: str) -> str | None:
    """Past Django's `headers`, which are made of all that a request has."""
    value: str | None = request._request.META.get(f"HTTP_{name.upper().replace('-', '_')}")
    return value


class Run(Protocol):
    """An admitted call whose answer is streamed."""

    admitted: Admitted

    def start(self) -> None: ...

    def chunks(self) -> Iterator[bytes]: ...

    def client_left(self) -> None: ...

    def close(self) -> None: ...

    def headers(self) -> dict[str, str]: ...


# Proxies (nginx) would gather the chunks otherwise.
STREAM_HEADERS = {"Cache-Control": "no-cache, no-transform", "X-Accel-Buffering": "no"}


class RunStream(StreamingHttpResponse):
    """A run, started here, as it comes.

    Closing it, as servers do when the client has left, ends the run, read or not.
    Raises GatewayError when upstream fails before the first piece.
    """

    def __init__(
        self, run: Run, *, request: Request, content_type: str = "text/event-stream; charset=utf-8"
    ) -> None:
        self._run = run
        # A call that may be repeated runs to its end: its client may come back for the answer.
        is_kept = run.admitted.call.is_idempotent
        client_socket = None if is_kept else request.META.get("gunicorn.socket")
        self._stop_watching: Callable[[], None] = disconnects.watch(client_socket, run.client_left)
        try:
            run.start()
        except BaseException:
            self._stop_watching()
            raise
        super().__init__(
            self._chunks(),
            content_type=content_type,
            headers={**run.headers(), **STREAM_HEADERS},
        )

    def _chunks(self) -> Iterator[bytes]:
        try:
            yield from self._run.chunks()
        finally:
            self._stop_watching()

    def close(self) -> None:
        super().close()
        self._stop_watching()
        self._run.close()


class NotFoundView(ApiView):
    """Whatever else is asked for below /v1."""

    authentication_classes = ()

    def dispatch(self, request: HttpRequest, *args: object, **kwargs: object) -> JsonResponse:
        return not_found(request)
