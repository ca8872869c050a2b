"""Cloudflare Workers AI, straight or through an AI Gateway.

Facts of the API (envelopes, headers, streams) as measured up to 2026-11. `/ai/run/<model>` is
used for all models: what is known of streams, usage and errors was seen there.
"""

import hashlib
from collections.abc import Mapping
from typing import Any
from urllib.parse import urlencode, urlsplit

import orjson

from inference.upstreams.accounts import Account, CallContext
from inference.upstreams.failures import UpstreamCallError
from inference.upstreams.requests import JsonRequest, UpstreamRequest
from inference.workers_ai import failures

CLOUDFLARE_API = "https://api.cloudflare.com/client/v4"


class WorkersAI:
    request_id_header = "cf-ai-req-id"

    def url(self, account: Account, model: str, request: UpstreamRequest) -> str:
        address = f"{account.base_url}/accounts/{account.account_id}/ai/run/{model}"
        return f"{address}?{urlencode(request.query)}" if request.query else address

    def body(
        self, model: str, request: UpstreamRequest, *, reject_if_busy: bool
    ) -> tuple[bytes, str]:
        """reject_if_busy: a model out of capacity says so at once, instead of making us wait."""
        if reject_if_busy and isinstance(request, JsonRequest):
            return request.encoded(options={"rejectIfBusy": True})
        return request.encoded()

    def headers(
        self, account: Account, context: CallContext, *, url: str, body: bytes
    ) -> dict[str, str]:
        headers = {
            "Authorization": f"Bearer {account.api_token}",
            # Same instance for the same conversation, whose prompts share prefixes: its cache
            # is warm.
            "x-session-affinity": _affinity(context),
        }
        if account.gateway_id:
            headers.update(self._gateway_headers(account, context, url=url, body=body))
        return headers

    def _gateway_headers(
        self, account: Account, context: CallContext, *, url: str, body: bytes
    ) -> dict[str, str]:
        """All tenants share one token, hence one key space of the gateway's cache: either the
        cache is left out, or the key names the tenant. It stands in place of the gateway's own
        key, so it must name the model and its query too, which only the URL has."""
        metadata = {
            "tenant": context.tenant_code,
            "key": context.key_id,
            "request": context.request_id,
        }
        headers = {
            "cf-aig-gateway-id": account.gateway_id,
            "cf-aig-metadata": orjson.dumps(metadata).decode(),
        }
        if context.cache_ttl_s:
            digest = hashlib.sha256(b"\0".join([url.encode(), body])).hexdigest()
            headers["cf-aig-cache-ttl"] = str(context.cache_ttl_s)
            headers["cf-aig-cache-key"] = f"{context.tenant_code}:{digest}"
        else:
            headers["cf-aig-skip-cache"] = "true"
        return headers

    def failure_of(self, status: int, body: bytes) -> UpstreamCallError | None:
        return failures.failure_of(status, body)

    def unwrap(self, document: Mapping[str, Any]) -> Any:
        """`/ai/v1` answers have no envelope, and some of `/ai/run` have been seen without."""
        return document.get("result", document)


def _affinity(context: CallContext) -> str:
    """A client's own name for its conversation may be any text, and another tenant's as well:
    as a digest it fits a header and is the tenant's alone."""
    name = f"{context.tenant_code}:{context.affinity or context.key_id}"
    return hashlib.sha256(name.encode(errors="surrogatepass")).hexdigest()[:32]


def base_url(address: str) -> str:
    """An address without a path gets Cloudflare's."""
    address = address.rstrip("/")
    return address if urlsplit(address).path else f"{address}/client/v4"


PROVIDER = WorkersAI()
