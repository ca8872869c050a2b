"""AI Gateway in front of a call: its cache.

As documented it is off unless a call opts in. HITs reach no model and cost nothing.
"""

import hashlib
import time
from collections.abc import Awaitable, Callable
from typing import Final

from aiohttp import web

from sandbox.workers_ai.exchange import Exchange
from sandbox.workers_ai.gateway_cache import KeptAnswer, Key
from sandbox.workers_ai.journal import End

DEFAULT_TTL_S: Final = 300
MAX_ANSWER_BYTES: Final = 25 * 2**20


async def answer_through_cache(
    exchange: Exchange, answer: Callable[[], Awaitable[web.StreamResponse]]
) -> web.StreamResponse:
    """The answer kept under the call's key, or a fresh one, kept if it may be."""
    key, ttl_s = await cache_key(exchange), cache_ttl_s(exchange)
    if key is None:
        return await answer()
    cache = exchange.services.gateway_cache
    if (kept := cache.find(key)) is not None:
        exchange.cache_status = exchange.record.cache = "HIT"
        exchange.record.status = 200
        headers = {**exchange.gateway_headers(), "Content-Type": kept.content_type}
        return web.Response(body=kept.body, headers=headers)
    exchange.cache_status = exchange.record.cache = "MISS"
    response = await answer()
    if may_be_kept(exchange, response):
        assert isinstance(response, web.Response)
        assert isinstance(response.body, bytes)
        kind = response.headers["Content-Type"]
        cache.keep(key, KeptAnswer(response.body, kind, time.monotonic() + ttl_s))
    return response


def may_be_kept(exchange: Exchange, response: web.StreamResponse) -> bool:
    """Whole answers with status 200 that nothing was wrong with. Streams are none."""
    return (
        isinstance(response, web.Response)
        and isinstance(response.body, bytes)
        and response.status == 200
        and len(response.body) <= MAX_ANSWER_BYTES
        and exchange.record.ended is not End.FAULT
    )


async def cache_key(exchange: Exchange) -> Key | None:
    """None: the call has nothing to do with the cache."""
    headers = exchange.request.headers
    gateway = headers.get("cf-aig-gateway-id")
    opts_in = "cf-aig-cache-key" in headers or "cf-aig-cache-ttl" in headers
    skips = headers.get("cf-aig-skip-cache", "").lower() == "true"
    if not gateway or not opts_in or skips:
        return None
    given = headers.get("cf-aig-cache-key")
    if given is not None:
        # Whoever sends it vouches for it: neither path nor body count.
        return exchange.account, gateway, f"given:{given}"
    digest = hashlib.sha256()
    for part in (
        exchange.request.rel_url.raw_path_qs.encode(),
        headers.get("Authorization", "").encode(),
        await exchange.request.read(),
    ):
        digest.update(hashlib.sha256(part).digest())
    return exchange.account, gateway, digest.hexdigest()


def cache_ttl_s(exchange: Exchange) -> int:
    text = exchange.request.headers.get("cf-aig-cache-ttl", "")
    return int(text) if text.isdecimal() else DEFAULT_TTL_S
