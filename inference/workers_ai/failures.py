"""What upstream's failures mean, and what a client is told.

HTTP status alone says little: five different things share 429, and `success: false` has
been seen under 200. The code inside the envelope decides.
"""

import logging
import re
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

import orjson

from agentflare import errors

logger = logging.getLogger(__name__)

_REQUEST_ID = re.compile(r"\s*\([0-9a-f-]{36}\)\s*$")
_CONTEXT_TEXT = re.compile(
    r"context (window|length)|maximum context|too many tokens", re.IGNORECASE
)

# By upstream's code. Sources: Cloudflare's error page, and what has been observed.
_INVALID_INPUT = {3003, 3030, 5004, 5005, 5006, 5023, 5024, 5025, 8001, 8002, 8006, 8007}
_NO_SUCH_MODEL = {3042, 5007, 5028, 7003}
_CONTEXT = {5021}
_TOO_LARGE = {3006}
_RATE_LIMITED = {3021, 2003}
_BUSY = {3040}
_OUR_QUOTA = {3036, 4006, 2045, 2021}
_TIMEOUTS = {3007, 3046, 2014}
_BREAKDOWNS = {3043, 3008, 7009, 7013}
# Another attempt may succeed, and nothing has been answered yet.
_RETRYABLE = _BUSY | _BREAKDOWNS | {0}


@dataclass(slots=True, eq=False)
class UpstreamCallError(Exception):
    """A call that upstream did not answer. `error` is what the client reads.

    code: upstream's own; 0 where there is none. may_retry: another attempt makes sense.
    """

    code: int
    detail: str
    error: errors.GatewayError
    may_retry: bool
    request_id: str = field(default="")

    @classmethod
    def unreachable(cls, detail: str) -> "UpstreamCallError":
        error = errors.UpstreamError("The upstream service could not be reached.")
        return cls(0, detail, error, may_retry=True)

    @classmethod
    def timeout(cls, detail: str) -> "UpstreamCallError":
        error = errors.UpstreamTimeoutError("The upstream service did not answer in time.")
        return cls(0, detail, error, may_retry=False)

    @classmethod
    def unreadable(cls, detail: str) -> "UpstreamCallError":
        error = errors.UpstreamError("The upstream service sent an answer that cannot be read.")
        return cls(0, detail, error, may_retry=True)

    @classmethod
    def broken(cls, detail: str) -> "UpstreamCallError":
        error = errors.UpstreamError("The upstream service broke off its answer.")
        return cls(0, detail, error, may_retry=False)


def failure_of(status: int, body: bytes) -> UpstreamCallError | None:
    """The failure that an answer stands for; None for a success."""
    try:
        document = orjson.loads(body)
    except orjson.JSONDecodeError:
        return _from_status(status)
    if not isinstance(document, dict):
        return UpstreamCallError.unreadable("the answer is no object")
    if status == 200 and document.get("success", True) is not False:
        return None
    code, message = _first_error(document)
    return UpstreamCallError(
        code=code,
        detail=f"HTTP {status}, code {code}: {message}",
        error=client_error(code, message, status),
        may_retry=code in _RETRYABLE and (code != 0 or status >= 500),
    )


def client_error(code: int, message: str, status: int) -> errors.GatewayError:
    """What a client reads. Trouble with our account or credentials is never told as its own."""
    is_context = code in _CONTEXT or (code == 8007 and _CONTEXT_TEXT.search(message))
    if is_context:
        return errors.InvalidRequestError(message, param="messages", code="context_length_exceeded")
    if code in _INVALID_INPUT or (code == 0 and status in {400, 422}):
        return errors.InvalidRequestError(message)
    if code in _NO_SUCH_MODEL:
        logger.error("Upstream does not know a model we offer: %s", message)
        return errors.UpstreamError("The upstream service does not serve this model at present.")
    if code in _TOO_LARGE:
        error: errors.GatewayError = errors.InvalidRequestError(message, code="request_too_large")
        error.status = 413
        return error
    if code in _BUSY or code in _RATE_LIMITED:
        return errors.UpstreamBusyError("The model is at capacity. Please retry shortly.")
    if code in _TIMEOUTS:
        return errors.UpstreamTimeoutError("The upstream service did not answer in time.")
    if code not in _BREAKDOWNS:
        # Credentials, licences, quotas: the operator's affair.
        logger.error("Upstream refuses us: HTTP %s, code %s: %s", status, code, message)
    if code in _OUR_QUOTA:
        return errors.UpstreamBusyError("The model is not available at present.")
    return errors.UpstreamError("The upstream service failed to answer.")


def _from_status(status: int) -> UpstreamCallError:
    """An answer that is no JSON: a page of the edge, or one that was cut."""
    if status in {408, 504, 522, 524}:
        return UpstreamCallError.timeout(f"HTTP {status} without JSON")
    return UpstreamCallError.unreadable(f"HTTP {status} without JSON")


def _first_error(document: dict[str, Any]) -> tuple[int, str]:
    """Code and text of either envelope: Cloudflare's `errors`, AI Gateway's `error`."""
    found = document.get("errors") or document.get("error") or []
    first = found[0] if isinstance(found, list) and found else found
    if not isinstance(first, dict):
        return 0, "unknown error"
    try:
        code = int(first.get("code") or 0)
    except (TypeError, ValueError):
        code = 0
    return code, _clean(str(first.get("message") or "unknown error"))


def _clean(message: str) -> str:
    """Without the request id at its end and the engine's prefixes; the engine's own text
    where it is JSON inside the message."""
    message = _REQUEST_ID.sub("", message)
    while message.startswith("AiError: "):
        message = message.removeprefix("AiError: ")
    if message.startswith("{"):
        with suppress(orjson.JSONDecodeError, AttributeError):
            message = str(orjson.loads(message).get("message", message))
    return message
