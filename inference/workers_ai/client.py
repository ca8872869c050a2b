"""HTTP to Workers AI: one call, its answer or its failure.

Facts of the API (envelopes, headers, streams) as measured up to 2026-11. `/ai/run/<model>` is
used for all models: what is known of streams, usage and errors was seen there.
"""

import json
import socket
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from functools import cache
from typing import Any
from urllib.parse import urlsplit

import orjson
import requests
import urllib3.exceptions
from django.conf import settings
from requests.adapters import HTTPAdapter
from requests.structures import CaseInsensitiveDict

from inference.workers_ai import sse
from inference.workers_ai.failures import UpstreamCallError, failure_of

_LAST_BYTES_TIMEOUT_S = 0.5
# What reading an answer may raise.
BROKEN = (requests.RequestException, urllib3.exceptions.HTTPError, OSError)
TIMED_OUT = (requests.Timeout, urllib3.exceptions.TimeoutError, TimeoutError)


@dataclass(frozen=True, slots=True)
class Account:
    """A Cloudflare account to call through."""

    account_id: str
    api_token: str
    base_url: str
    gateway_id: str = ""

    def url(self, upstream_model: str) -> str:
        return f"{self.base_url}/accounts/{self.account_id}/ai/run/{upstream_model}"


@dataclass(frozen=True, slots=True)
class CallContext:
    """What upstream may know of the caller: opaque, for affinity and its own logs."""

    tenant_code: str
    key_id: str
    request_id: str


def configured_account() -> Account:
    """The account that the environment names. An address without a path gets Cloudflare's."""
    base_url = settings.CLOUDFLARE_BASE_URL.rstrip("/")
    if not urlsplit(base_url).path:
        base_url += "/client/v4"
    return Account(
        account_id=settings.CLOUDFLARE_ACCOUNT_ID,
        api_token=settings.CLOUDFLARE_API_TOKEN,
        base_url=base_url,
        gateway_id=settings.CLOUDFLARE_GATEWAY_ID,
    )


class Answer:
    """Upstream's answer to one call, its headers read and its body not yet.

    Close it, read or not: an answer that is closed early stops upstream's work.
    """

    def __init__(self, response: requests.Response) -> None:
        self._response = response
        self._socket = getattr(response.raw.connection, "sock", None)
        self.request_id = response.headers.get("cf-ai-req-id", "")
        self.saw_done = False

    @property
    def is_stream(self) -> bool:
        """Some models answer plain JSON although a stream was asked for."""
        return self._response.headers.get("content-type", "").startswith("text/event-stream")

    def result(self) -> dict[str, Any]:
        """The whole answer out of its envelope. Raises UpstreamCallError or one of BROKEN."""
        body = self._response.content
        self._let_go()
        failure = failure_of(self._response.status_code, body)
        if failure:
            raise failure
        document = orjson.loads(body)
        result = document.get("result", document)
        if not isinstance(result, dict):
            raise UpstreamCallError.unreadable("the result is no object")
        return result

    def frames(self) -> Iterator[dict[str, Any]]:
        """The frames of a stream up to `[DONE]`. Raises UpstreamCallError or one of BROKEN.

        `saw_done` tells afterwards whether it ended so.
        """
        pieces = _pieces(self._response)
        for payload in sse.payloads(pieces):
            if payload == b"[DONE]":
                self.saw_done = True
                self._read_to_the_end(pieces)
                return
            try:
                frame = orjson.loads(payload)
            except orjson.JSONDecodeError:
                raise UpstreamCallError.unreadable("a frame is no JSON") from None
            if isinstance(frame, dict):
                yield frame

    def abort(self) -> None:
        """Break the connection off, also while another greenlet reads from it."""
        if self._socket is not None:
            with suppress(OSError):  # upstream was faster
                self._socket.shutdown(socket.SHUT_RDWR)

    def close(self) -> None:
        self._let_go()
        self._response.close()

    def _read_to_the_end(self, pieces: Iterator[bytes]) -> None:
        """The connection can be used again only when nothing of the answer is left in it."""
        with suppress(*BROKEN):
            if self._socket is not None:
                self._socket.settimeout(_LAST_BYTES_TIMEOUT_S)
            next(pieces, None)
        self._let_go()

    def _let_go(self) -> None:
        """From here on the connection may be another call's: it must not be broken off."""
        self._socket = None


def run(
    account: Account,
    upstream_model: str,
    body: Mapping[str, Any],
    *,
    context: CallContext,
) -> Answer:
    """Call a model. Raises UpstreamCallError for anything but an answer."""
    request = requests.PreparedRequest()
    request.method = "POST"
    request.url = account.url(upstream_model)
    request.body = _dump(body)
    request.headers = CaseInsensitiveDict(_headers(account, context))
    request.headers["Content-Length"] = str(len(request.body))
    request.hooks = requests.hooks.default_hooks()
    timeout = (settings.UPSTREAM_CONNECT_TIMEOUT_S, settings.UPSTREAM_READ_TIMEOUT_S)
    try:
        response = _adapter().send(request, stream=True, timeout=timeout)
    except requests.Timeout as exc:
        raise UpstreamCallError.timeout(str(exc)) from exc
    except BROKEN as exc:
        raise UpstreamCallError.unreachable(str(exc)) from exc
    answer = Answer(response)
    if response.status_code == 200:
        return answer
    try:
        body_bytes = response.content
    except BROKEN:
        body_bytes = b""
    finally:
        answer.close()
    failure = failure_of(response.status_code, body_bytes)
    assert failure is not None
    failure.request_id = answer.request_id
    raise failure


def _dump(body: Mapping[str, Any]) -> bytes:
    """A client's schema may hold integers of any size; orjson takes 64 bits."""
    try:
        return orjson.dumps(body)
    except TypeError:
        return json.dumps(body).encode()


def _headers(account: Account, context: CallContext) -> dict[str, str]:
    headers = {
        "Authorization": f"Bearer {account.api_token}",
        "Content-Type": "application/json",
        "Accept-Encoding": "identity",
        "User-Agent": "AgentFlare",
        # Same instance for the same key, whose prompts share prefixes: its cache is warm.
        "x-session-affinity": f"{context.tenant_code}{context.key_id}",
    }
    if account.gateway_id:
        headers["cf-aig-gateway-id"] = account.gateway_id
        # All tenants share one token, hence one key space of the gateway's cache.
        headers["cf-aig-skip-cache"] = "true"
        headers["cf-aig-metadata"] = json.dumps(
            {
                "tenant": context.tenant_code,
                "key": context.key_id,
                "request": context.request_id,
            }
        )
    return headers


@cache
def _adapter() -> HTTPAdapter:
    """Sessions merge cookies, proxies and hooks into each request; none of that is wanted."""
    return HTTPAdapter(pool_connections=16, pool_maxsize=2000, max_retries=0)


def _pieces(response: requests.Response) -> Iterator[bytes]:
    """The body as it arrives, not waiting for any length."""
    raw = response.raw
    while piece := raw.read1(65_536):
        yield piece
