"""requests' way to a server, without what it does anew for each request though nothing changed."""

import select
from typing import Any

import requests
from gevent.monkey import get_original
from requests.adapters import HTTPAdapter
from urllib3 import BaseHTTPResponse, HTTPConnectionPool, HTTPSConnectionPool, Timeout
from urllib3.connection import HTTPConnection, HTTPSConnection

_poll: Any = get_original("select", "poll")


class _Looked:
    """Whether a kept connection is still of use, asked of the kernel: gevent's `poll` makes two
    watchers and a timer to learn the same."""

    sock: Any

    @property
    def is_connected(self) -> bool:
        if self.sock is None:
            return False
        poll = _poll()
        poll.register(self.sock, select.POLLIN)
        # What there is to read before anything was asked is its end.
        return not poll.poll(0)


class _Http(_Looked, HTTPConnection):
    pass


class _Https(_Looked, HTTPSConnection):
    pass


class _HttpPool(HTTPConnectionPool):
    ConnectionCls = _Http


class _HttpsPool(HTTPSConnectionPool):
    ConnectionCls = _Https


class UpstreamAdapter(HTTPAdapter):
    """One pool of connections for each server, whose certificate is looked up once. Cookies,
    proxies, repeats, and the encoding of texts are nothing that an upstream has."""

    def __init__(self) -> None:
        super().__init__(pool_connections=64, pool_maxsize=2000, max_retries=0)
        self.poolmanager.pool_classes_by_scheme = {"http": _HttpPool, "https": _HttpsPool}
        self._pools: dict[str, Any] = {}

    def ask(
        self, request: requests.PreparedRequest, *, connect_s: float, read_s: float
    ) -> requests.Response:
        """Its answer, the body not yet read. Raises urllib3's errors, and OSError."""
        assert request.url is not None
        start = request.url.find("/", len("https://"))
        raw = self._pool(request, request.url[:start]).urlopen(
            method=request.method or "",
            url=request.url[start:],
            body=request.body,
            headers=request.headers,
            redirect=False,
            retries=False,
            assert_same_host=False,
            timeout=Timeout(connect=connect_s, read=read_s),
            preload_content=False,
            decode_content=False,
        )
        return self.build_response(request, raw)

    def _pool(self, request: requests.PreparedRequest, origin: str) -> Any:
        pool: Any = self._pools.get(origin)
        # Of more servers than are remembered the oldest is closed.
        if pool is None or pool.pool is None:
            pool = self.get_connection_with_tls_context(request, verify=True)
            self.cert_verify(pool, request.url, verify=True, cert=None)  # type: ignore[no-untyped-call]
            self._pools[origin] = pool
        return pool

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
