"""Any server that speaks OpenAI's API: vLLM, llama.cpp, Ollama, another gateway."""

from collections.abc import Mapping
from typing import Any

import orjson

from inference.upstreams.accounts import Account, CallContext
from inference.upstreams.failures import UpstreamCallError
from inference.upstreams.requests import JsonRequest, UpstreamRequest
from inference.workers_ai.failures import rule_of_status


class OpenAICompatible:
    request_id_header = "x-request-id"

    def url(self, account: Account, model: str, request: UpstreamRequest) -> str:
        assert isinstance(request, JsonRequest)
        return f"{account.base_url}/{request.operation}"

    def body(
        self, model: str, request: UpstreamRequest, *, reject_if_busy: bool
    ) -> tuple[bytes, str]:
        """The model is named in the body, and a stream must be asked for its totals."""
        assert isinstance(request, JsonRequest)
        extra: dict[str, Any] = {"model": model}
        if request.body.get("stream"):
            extra["stream_options"] = {"include_usage": True}
        return request.encoded(**extra)

    def headers(
        self, account: Account, context: CallContext, *, url: str, body: bytes
    ) -> dict[str, str]:
        return {"Authorization": f"Bearer {account.api_token}"} if account.api_token else {}

    def failure_of(self, status: int, body: bytes) -> UpstreamCallError | None:
        try:
            document = orjson.loads(body)
        except orjson.JSONDecodeError:
            document = {}
        if not isinstance(document, dict):
            return UpstreamCallError.unreadable("the answer is no object")
        if status == 200 and document and not document.get("error"):
            return None
        error = document.get("error") or document.get("message") or document.get("detail")
        message = error.get("message") if isinstance(error, dict) else error
        # An error under 200 says nothing of who is at fault: the server is.
        rule = rule_of_status(status if status >= 400 else 502)
        return UpstreamCallError(
            code=0,
            detail=f"HTTP {status}: {message}",
            error=rule.error(str(message or "unknown error")[:2000]),
            may_retry=rule.may_retry,
            may_fall_over=rule.may_fall_over,
            scope=rule.scope,
            closed_for_s=rule.closed_for_s(),
            may_be_provoked=rule.may_be_provoked,
        )

    def unwrap(self, document: Mapping[str, Any]) -> Any:
        return document


PROVIDER = OpenAICompatible()
