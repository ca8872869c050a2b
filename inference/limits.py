"""`x-ratelimit-*` on every answer, also on those of calls that were never admitted."""

from typing import Any

from agentflare.api import ApiView
from agentflare.redis_store import RedisDownError
from billing.admission import gate
from billing.admission.rules import Count, rate_limit_headers
from tenants.keys.lookup import KeyRecord

# An answer with one of these has been told of its limits at its admission.
_MARKS = ("x-ratelimit-limit-requests", "x-ratelimit-limit-tokens")


class LimitedView(ApiView):
    """An endpoint whose answers tell how much of the caller's limits is left."""

    def finalize_response(self, request: Any, response: Any, *args: Any, **kwargs: Any) -> Any:
        response = super().finalize_response(request, response, *args, **kwargs)
        record = getattr(request, "_auth", None)
        if isinstance(record, KeyRecord) and not any(map(response.has_header, _MARKS)):
            for name, value in current_headers(record).items():
                response[name] = value
        return response


def current_headers(record: KeyRecord) -> dict[str, str]:
    """What is left to a key at this moment, whatever the model; nothing is used up."""
    limits = (record.tenant_limits, record.limits)
    if not any(each.has_windows for each in limits):
        return {}
    windows = gate.window_keys(record.tenant_code, record.line_id, "")[:2]
    try:
        facts = gate.peek(windows)
    except RedisDownError:
        return {}
    counts = [
        Count(own, requests, tokens)
        for own, (requests, tokens, _) in zip(limits, facts, strict=True)
    ]
    return rate_limit_headers(counts)
