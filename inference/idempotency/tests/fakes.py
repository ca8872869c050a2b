"""A handler that counts, and a view around it, without models or money."""

import threading
import uuid
from collections.abc import Callable, Iterable
from typing import Any

import orjson
from django.http import HttpResponseBase, StreamingHttpResponse
from django.test import RequestFactory
from rest_framework.authentication import BaseAuthentication

from agentflare.api import JsonResponse
from agentflare.ids import uuid7
from agentflare.partitions import partition_key, partition_of
from agentflare.redis_store import get_redis
from billing.admission.gate import hold_key
from inference.idempotency.views import InferenceView
from tenants.keys.lookup import KeyRecord

PATH = "/v1/chat/completions"


class Caller(BaseAuthentication):
    """The Authorization header is the tenant's code."""

    def authenticate(self, request: Any) -> tuple[None, KeyRecord]:
        return None, KeyRecord(request.META["HTTP_AUTHORIZATION"], "abcdefgh", "test")


class Endpoint:
    """A POST endpoint whose every execution is `answer`, called with the DRF request."""

    def __init__(self, answer: Callable[[Any], HttpResponseBase] | None = None) -> None:
        self.answer = answer or (lambda request: self.count_answer())
        self.runs: list[Any] = []
        self._lock = threading.Lock()
        endpoint = self

        class View(InferenceView):
            authentication_classes = (Caller,)

            def post(self, request: Any) -> HttpResponseBase:
                with endpoint._lock:
                    endpoint.runs.append(request)
                return endpoint.answer(request)

            def get(self, request: Any) -> HttpResponseBase:
                return JsonResponse({"idempotent": request.is_idempotent})

        self._view = View.as_view()

    def count_answer(self) -> JsonResponse:
        headers = {
            "X-Request-Cost": "0.000000123",
            "X-Estimated-Cost": "0.000001000",
            "X-Balance-Remaining": "24.0",
            "x-agentflare-model": "m",
        }
        return JsonResponse({"run": len(self.runs)}, headers=headers)

    def post(
        self,
        tenant: str,
        key: str | None = "key-1",
        *,
        body: Any = None,
        path: str = PATH,
        method: str = "POST",
        data: bytes | None = None,
        content_type: str = "application/json",
    ) -> Any:
        headers = {"Authorization": tenant}
        if key is not None:
            headers["Idempotency-Key"] = key
        request = RequestFactory().generic(
            method,
            path,
            orjson.dumps(body or {"n": 1}) if data is None else data,
            content_type=content_type,
            headers=headers,
        )
        request.id = uuid7()  # type: ignore[attr-defined]
        return self._view(request)


def new_tenant() -> str:
    return f"t{uuid.uuid4().hex[:12]}"


def stream(pieces: Iterable[bytes], content_type: str = "text/event-stream; charset=utf-8") -> Any:
    return StreamingHttpResponse(
        pieces, content_type=content_type, headers={"X-Accel-Buffering": "no"}
    )


def error_code(response: Any) -> str:
    return str(orjson.loads(response.content)["error"]["code"])


def record_key(tenant: str) -> str:
    """Of the only key that the tenant has used."""
    (key,) = get_redis().scan_iter(f"{{p{partition_of(tenant)}}}:idem:{tenant}:*", count=10_000)
    return str(key)


def age(tenant: str, seconds: float) -> None:
    """As if the call that has the key had begun so long before."""
    get_redis().hincrby(record_key(tenant), "claimed_at", -int(seconds * 1000))


def hold_of(tenant: str, request: Any) -> str:
    """Where Redis has the hold of a request's call."""
    return hold_key(partition_of(tenant), request._request.id.hex)


def done_of(tenant: str, request: Any) -> str:
    """Where Redis remembers that a request's call has been captured."""
    return partition_key(partition_of(tenant), f"done:{request._request.id.hex}")
