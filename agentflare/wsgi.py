"""The WSGI application."""

import io
import os
import re
from collections.abc import Callable, Iterable
from typing import Any

import django
from django.conf import settings
from django.core.cache import close_caches
from django.core.handlers.base import reset_urlconf
from django.core.handlers.wsgi import WSGIHandler
from django.core.signals import request_finished, request_started
from django.db import close_old_connections, reset_queries
from django.utils.module_loading import import_string

from agentflare.slow_bodies import LateBody, SlowBodyError, TimedBody

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "agentflare.settings")

Environ = dict[str, Any]
_CREDENTIALS = {"HTTP_AUTHORIZATION", "HTTP_X_API_KEY"}
_SLASHES = re.compile("//+")
WsgiApp = Callable[[Environ, Callable[..., Any]], Iterable[bytes]]


class Application:
    """Sends /v1 to a handler with few middlewares, everything else to the full one, and
    WebSockets past both.

    Bodies that arrive chunked are given a length: Django reads CONTENT_LENGTH bytes and
    no more, so it would take them for empty. Reading stops one byte past the limit; the
    middleware then answers 413. Of pages' forms it stops earlier, and a program without a key
    is refused without it.
    """

    def __init__(
        self,
        *,
        api: WsgiApp,
        pages: WsgiApp,
        sockets: WsgiApp,
        limit_bytes: int,
        form_limit_bytes: int,
        body_timeout_s: float,
    ) -> None:
        self.api = api
        self.sockets = sockets
        self.pages = pages
        self.limit_bytes = limit_bytes
        self.form_limit_bytes = form_limit_bytes
        self.body_timeout_s = body_timeout_s

    def __call__(self, environ: Environ, start_response: Callable[..., Any]) -> Iterable[bytes]:
        path = environ["PATH_INFO"] = _api_path(environ["PATH_INFO"])
        if client := environ.get("gunicorn.socket"):
            body, timeout_s = environ["wsgi.input"], self.body_timeout_s
            environ["wsgi.input"] = TimedBody(body, client, timeout_s=timeout_s)
        if "chunked" in environ.get("HTTP_TRANSFER_ENCODING", "").lower():
            self._read_chunks(environ)
        if path.startswith("/v1/") and environ.get("HTTP_UPGRADE", "").lower() == "websocket":
            return self.sockets(environ, start_response)
        app = self.api if path.startswith("/v1/") or path == "/v1" else self.pages
        return app(environ, start_response)

    def _read_chunks(self, environ: Environ) -> None:
        is_api = environ["PATH_INFO"].startswith("/v1/")
        limit_bytes = self.limit_bytes if is_api else self.form_limit_bytes
        if is_api and not _CREDENTIALS & environ.keys():
            limit_bytes = -1
        try:
            body = environ["wsgi.input"].read(limit_bytes + 1)
        except SlowBodyError:
            environ["wsgi.input"], environ["CONTENT_LENGTH"] = LateBody(), "1"
        else:
            environ["wsgi.input"] = io.BytesIO(body)
            environ["CONTENT_LENGTH"] = str(len(body))


def _api_path(path: str) -> str:
    """The path below /v1 that is meant.

    Clients join a base URL that ends in a slash and a path that begins with one; Cohere's call
    their second version of reranking, which is the same here.
    """
    if path == "/v2/rerank":
        return "/v1/rerank"
    if "//" not in path:
        return path
    single = _SLASHES.sub("/", path)
    return single if single.startswith("/v1/") else path


def _without_idle_duties() -> None:
    """Of Django's duties around each request one is left: at its end its connection goes back.
    There are no saved queries, the cache's connections are the process', and every request sets
    its URL conf anew."""
    request_started.disconnect(reset_queries)
    request_started.disconnect(close_old_connections)
    request_finished.disconnect(close_caches)
    request_finished.disconnect(reset_urlconf)


def make_application() -> Application:
    django.setup(set_prefix=False)
    _without_idle_duties()
    pages = WSGIHandler()
    # A handler reads settings.MIDDLEWARE while it is made, and never again.
    everything, settings.MIDDLEWARE = settings.MIDDLEWARE, settings.API_MIDDLEWARE
    api = WSGIHandler()
    settings.MIDDLEWARE = everything
    # Named by its path: the core knows no app.
    sockets = import_string(settings.WEBSOCKETS)
    return Application(
        api=api,
        pages=pages,
        sockets=sockets,
        limit_bytes=settings.DATA_UPLOAD_MAX_MEMORY_SIZE,
        form_limit_bytes=settings.MAX_FORM_BYTES,
        body_timeout_s=settings.BODY_TIMEOUT_S,
    )


application = make_application()
