"""requests' way to a server, without what it does anew for each request though nothing changed."""

from typing import Any

import requests
from requests.adapters import HTTPAdapter
from urllib3 import BaseHTTPResponse, HTTPConnectionPool


class UpstreamAdapter(HTTPAdapter):
    """One pool of connections for each server, whose certificate is looked up once. Cookies,
    proxies, and the encoding of texts are nothing that an upstream has."""

    def __init__(self) -> None:
        super().__init__(pool_connections=64, pool_maxsize=2000, max_retries=0)
        self._pools: dict[str, Any] = {}

    def get_connection_with_tls_context(
        self, request: requests.PreparedRequest, *args: Any, **options: Any
    ) -> HTTPConnectionPool:
        assert request.url is not None
        origin = request.url[: request.url.find("/", len("https://"))]
        pool: Any = self._pools.get(origin)
        # Of more servers than are remembered the oldest is closed.
        if pool is None or pool.pool is None:
            pool = super().get_connection_with_tls_context(request, *args, **options)
            super().cert_verify(pool, request.url, verify=True, cert=None)  # type: ignore[no-untyped-call]
            self._pools[origin] = pool
        return pool  # type: ignore[no-any-return]

    def cert_verify(self, *_: Any) -> None:
        """Done with the pool."""

    def build_response(
        self, req: requests.PreparedRequest, resp: BaseHTTPResponse
    ) -> requests.Response:
        response = requests.Response()
        response.status_code = resp.status
        # They know no upper case either.
        response.headers = resp.headers  # type: ignore[assignment]
        response.raw = resp
        response.url = req.url or ""
        response.request = req
        return response
