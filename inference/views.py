"""Endpoints below /v1: parse, call the pipeline, answer."""

from collections.abc import Callable, Iterator
from uuid import UUID

from django.db import close_old_connections
from django.http import HttpRequest, HttpResponseBase, StreamingHttpResponse
from rest_framework.request import Request

from agentflare.api import ApiView, JsonResponse, not_found, read_params
from inference import disconnects
from inference.catalog.selectors import catalogue
from inference.chat.params import ChatCompletionParams
from inference.model_objects import model_object
from inference.pipeline import ChatRun, admit_chat
from tenants.keys.lookup import KeyRecord


class ChatCompletionsView(ApiView):
    """POST /v1/chat/completions, as in OpenAI's API reference."""

    def post(self, request: Request) -> HttpResponseBase:
        params = read_params(request, ChatCompletionParams)
        run = admit_chat(caller=caller(request), params=params, request_id=request_id(request))
        # Admission may have asked PostgreSQL; a stream must not keep the connection to its end.
        close_old_connections()
        if params.stream:
            return EventStream(run, client_socket=request.META.get("gunicorn.socket"))
        run.start()
        completion = run.completion()
        return JsonResponse(completion, headers=run.headers())


def caller(request: Request) -> KeyRecord:
    assert isinstance(request.auth, KeyRecord)
    return request.auth


def request_id(request: Request) -> UUID:
    """As RequestIdMiddleware made it."""
    made: UUID = request._request.id  # type: ignore[attr-defined]
    return made


class EventStream(StreamingHttpResponse):
    """A run, started here, as server-sent events.

    Closing it, as servers do when the client has left, ends the run, read or not.
    Raises GatewayError when upstream fails before the first token.
    """

    def __init__(self, run: ChatRun, *, client_socket: object) -> None:
        self._run = run
        self._stop_watching: Callable[[], None] = disconnects.watch(client_socket, run.client_left)
        try:
            run.start()
        except BaseException:
            self._stop_watching()
            raise
        super().__init__(
            self._chunks(),
            content_type="text/event-stream; charset=utf-8",
            headers={
                **run.headers(),
                "Cache-Control": "no-cache, no-transform",
                # Proxies (nginx) would gather the chunks otherwise.
                "X-Accel-Buffering": "no",
            },
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


class ModelListView(ApiView):
    """GET /v1/models: every AI model that is served, with context, capabilities and prices."""

    def get(self, request: Request) -> JsonResponse:
        offers = catalogue().offers.values()
        return JsonResponse({"object": "list", "data": [model_object(offer) for offer in offers]})


class ModelView(ApiView):
    """GET /v1/models/{id}, by friendly id or Cloudflare's."""

    def get(self, request: Request, name: str) -> JsonResponse:
        return JsonResponse(model_object(catalogue().find(name)))


class NotFoundView(ApiView):
    """Whatever else is asked for below /v1."""

    authentication_classes = ()

    def dispatch(self, request: HttpRequest, *args: object, **kwargs: object) -> JsonResponse:
        return not_found(request)
