"""One small call, to see whether an upstream answers: for the operator, paid by nobody's credit."""

import time
import uuid
from dataclasses import dataclass
from typing import Any

from inference.upstreams import client
from inference.upstreams.accounts import OPENAI_COMPATIBLE, Account, CallContext
from inference.upstreams.failures import UpstreamCallError
from inference.upstreams.requests import JsonRequest

EMBEDDINGS = "embeddings"


@dataclass(frozen=True, slots=True)
class Trial:
    """failure: upstream's own words; empty: it answered."""

    took_ms: int
    failure: str = ""
    neurons: str = ""


def try_upstream(account: Account, *, upstream_model: str, kind: str) -> Trial:
    """Ask for one token of a chat, or one vector."""
    context = CallContext(tenant_code="operator", key_id="trial", request_id=uuid.uuid4().hex)
    started = time.monotonic()
    failure = neurons = ""
    try:
        answer = client.send(account, upstream_model, _request(account, kind), context=context)
        try:
            answer.result()
            neurons = answer.neurons or ""
        finally:
            answer.close()
    except (UpstreamCallError, *client.BROKEN) as exc:
        failure = client.as_failure(exc).detail
    return Trial(round((time.monotonic() - started) * 1000), failure, neurons)


def _request(account: Account, kind: str) -> JsonRequest:
    if kind == EMBEDDINGS:
        name = "input" if account.provider == OPENAI_COMPATIBLE else "text"
        return JsonRequest({name: ["Hello"]}, operation="embeddings")
    messages: list[Any] = [{"role": "user", "content": "Hello"}]
    return JsonRequest({"messages": messages, "max_tokens": 1})
