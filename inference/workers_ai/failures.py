"""What Workers AI's and AI Gateway's failures mean, and what a client is told.

HTTP status alone says little: five different things share 429, and `success: false` has
been seen under 200. The code inside the envelope decides; its rules stand in one table.
"""

import logging
import re
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import orjson
from django.conf import settings

from agentflare import errors
from inference.upstreams.failures import Scope, UpstreamCallError

logger = logging.getLogger(__name__)

_REQUEST_ID = re.compile(r"\s*\([0-9a-f-]{36}\)\s*$")
_CONTEXT_TEXT = re.compile(
    r"context (window|length)|maximum context|too many tokens|sequence (is )?too long",
    re.IGNORECASE,
)
_LONGEST_TEXT = 4_000
# What to run for a kind of work whose small models are not installed.
_SANDBOX_ADVICE = "make models"
_MINUTE_S = 60.0
_SPENDING_LIMIT = 2045
_TIMEOUT_STATUSES = {408, 504, 522, 524}
_REFUSED_BY_THE_EDGE = {400, 403, 413, 414, 431}


@dataclass(frozen=True, slots=True)
class Rule:
    """What follows from one code. error: from upstream's text to what the client reads."""

    error: Callable[[str], errors.GatewayError]
    may_retry: bool = False
    may_fall_over: bool = False
    scope: Scope = Scope.CALL
    closed_for_s: Callable[[], float] = float
    alert: bool = False
    may_be_provoked: bool = False


def _invalid(message: str) -> errors.GatewayError:
    return errors.InvalidRequestError(message)


def _context_or_invalid(message: str) -> errors.GatewayError:
    return _context(message) if _CONTEXT_TEXT.search(message) else _invalid(message)


def _context(message: str) -> errors.GatewayError:
    return errors.InvalidRequestError(message, param="messages", code="context_length_exceeded")


def _flagged(message: str) -> errors.GatewayError:
    if _CONTEXT_TEXT.search(message):
        return _context(message)
    return errors.ContentPolicyError(message)


def _too_large(message: str) -> errors.GatewayError:
    return errors.UpstreamTooLargeError(message)


def _refused(message: str) -> errors.GatewayError:
    return errors.InvalidRequestError("The upstream service refused the request.")


def _json_not_met(message: str) -> errors.GatewayError:
    return errors.InvalidRequestError(
        f"The model's answer was not the JSON that was asked for: {message}. Raise the cap on "
        "its tokens, or simplify the schema.",
        param="response_format",
        code=errors.JsonNotMetError.code,
    )


def _no_such_model(message: str) -> errors.GatewayError:
    return errors.NotFoundError(
        "The model is not available: the provider does not serve it any more.",
        param="model",
        code="model_not_found",
    )


def _busy(message: str) -> errors.GatewayError:
    return errors.UpstreamBusyError("The model is at capacity. Please retry shortly.")


def _rate_limited(message: str) -> errors.GatewayError:
    return errors.UpstreamRateLimitError(retry_after_s=_until_next_minute_s())


def _out_of_quota(message: str) -> errors.GatewayError:
    return errors.UpstreamQuotaError(retry_after_s=_until_midnight_s())


def _unavailable(message: str) -> errors.GatewayError:
    return errors.UpstreamBusyError(
        "The model is not available at present. Please retry later.", retry_after_s=_MINUTE_S
    )


def _timed_out(message: str) -> errors.GatewayError:
    return errors.UpstreamTimeoutError("The upstream service did not answer in time.")


def _failed(message: str) -> errors.GatewayError:
    if settings.SANDBOX and _SANDBOX_ADVICE in message:
        # The stand-in's own words: there is no provider here whose text must not be shown.
        return errors.UpstreamError(message, headers={"x-should-retry": "false"})
    return errors.UpstreamError("The upstream service failed to answer.")


def _operators_affair(message: str) -> errors.GatewayError:
    """A licence, a plan, our credentials: no matter of time, so a client need not try again."""
    return errors.UpstreamError(
        "The upstream service failed to answer.", headers={"x-should-retry": "false"}
    )


def _until_next_minute_s() -> float:
    now = datetime.now(UTC)
    return 60.0 - now.second - now.microsecond / 1e6


def _until_midnight_s() -> float:
    """The free allowance is renewed at 00:00 UTC."""
    now = datetime.now(UTC)
    midnight = (now + timedelta(days=1)).replace(hour=0, minute=0, second=0, microsecond=0)
    return (midnight - now).total_seconds()


def _a_minute_s() -> float:
    return _MINUTE_S


_INVALID = Rule(_invalid)
# An input can be made that takes a model too long, or breaks it.
_TIMEOUT = Rule(_timed_out, may_fall_over=True, scope=Scope.MODEL, may_be_provoked=True)
_BREAKDOWN = Rule(
    _failed, may_retry=True, may_fall_over=True, scope=Scope.MODEL, may_be_provoked=True
)
_CLOSED_MODEL = Rule(
    _operators_affair, may_fall_over=True, scope=Scope.MODEL, closed_for_s=_a_minute_s, alert=True
)
_CLOSED_ACCOUNT = Rule(
    _operators_affair, may_fall_over=True, scope=Scope.ACCOUNT, closed_for_s=_a_minute_s, alert=True
)
_OUR_QUOTA = Rule(
    _out_of_quota,
    may_fall_over=True,
    scope=Scope.ACCOUNT,
    closed_for_s=_until_midnight_s,
    alert=True,
)
_NO_SUCH_MODEL = Rule(_no_such_model, may_fall_over=True, alert=True)

# Sources: Cloudflare's pages on Workers AI's and AI Gateway's errors, and what was observed.
RULES = {
    2003: Rule(
        _rate_limited, may_fall_over=True, scope=Scope.ACCOUNT, closed_for_s=_until_next_minute_s
    ),
    2008: _CLOSED_ACCOUNT,
    2009: _CLOSED_ACCOUNT,
    2014: _TIMEOUT,
    2016: Rule(_flagged),
    2017: Rule(_flagged),
    2021: Rule(
        _unavailable,
        may_fall_over=True,
        scope=Scope.ACCOUNT,
        closed_for_s=_a_minute_s,
        alert=True,
    ),
    2045: Rule(
        _unavailable,
        may_fall_over=True,
        scope=Scope.ACCOUNT,
        closed_for_s=_a_minute_s,
        alert=True,
    ),
    3003: _INVALID,
    3006: Rule(_too_large),
    3007: _TIMEOUT,
    3008: _BREAKDOWN,
    3021: Rule(
        _rate_limited, may_fall_over=True, scope=Scope.TASK, closed_for_s=_until_next_minute_s
    ),
    3023: _CLOSED_ACCOUNT,
    3030: Rule(_flagged),
    3036: _OUR_QUOTA,
    3039: _INVALID,
    3040: Rule(_busy, may_retry=True, may_fall_over=True, scope=Scope.MODEL),
    3041: _CLOSED_MODEL,
    3042: _NO_SUCH_MODEL,
    3043: _BREAKDOWN,
    3046: _TIMEOUT,
    4006: _OUR_QUOTA,
    5004: _INVALID,
    5005: _INVALID,
    5006: _INVALID,
    5007: _NO_SUCH_MODEL,
    5016: _CLOSED_MODEL,
    5018: _CLOSED_MODEL,
    5019: Rule(_operators_affair, may_fall_over=True, alert=True),
    5021: Rule(_context, may_fall_over=True),
    5023: _INVALID,
    5024: Rule(_json_not_met, may_retry=True, may_fall_over=True),
    5025: _INVALID,
    5028: _NO_SUCH_MODEL,
    5035: _CLOSED_MODEL,
    7000: Rule(_operators_affair, may_fall_over=True, alert=True),
    7001: Rule(_operators_affair, may_fall_over=True, alert=True),
    7003: _CLOSED_ACCOUNT,
    7009: _BREAKDOWN,
    7013: Rule(_unavailable, may_retry=True, may_fall_over=True, scope=Scope.MODEL),
    8001: _INVALID,
    8002: _INVALID,
    8006: _INVALID,
    8007: Rule(_context_or_invalid),
    # Of the API in front of it, about our own credentials: under 400 they would read as the
    # client's fault.
    6003: _CLOSED_ACCOUNT,
    6111: _CLOSED_ACCOUNT,
    9109: _CLOSED_ACCOUNT,
    10000: _CLOSED_ACCOUNT,
    10001: _CLOSED_ACCOUNT,
}


def failure_of(status: int, body: bytes) -> UpstreamCallError | None:
    """The failure that an answer stands for; None for a success."""
    try:
        document = orjson.loads(body)
    except orjson.JSONDecodeError:
        return _from_status(status)
    if not isinstance(document, dict):
        return UpstreamCallError.unreadable("the answer is no object")
    # A bare OpenAI-shaped answer has no `success`; an error in it has `error`.
    is_refusal = "result" not in document and (document.get("error") or document.get("errors"))
    if status == 200 and document.get("success", True) is not False and not is_refusal:
        return None
    code, message = _first_error(document)
    return failure_for(code, message, status)


def failure_for(code: int, message: str, status: int) -> UpstreamCallError:
    """By the code's rule; by the status where there is none."""
    rule = RULES.get(code) or rule_of_status(status)
    if rule.alert:
        logger.error("Upstream refuses us: HTTP %s, code %s: %s", status, code, message)
    return _failure(rule, code, message, status)


def _failure(rule: Rule, code: int, message: str, status: int) -> UpstreamCallError:
    return UpstreamCallError(
        code=code,
        detail=f"HTTP {status}, code {code}: {message}",
        error=rule.error(message),
        may_retry=rule.may_retry,
        may_fall_over=rule.may_fall_over,
        scope=rule.scope,
        closed_for_s=rule.closed_for_s(),
        may_be_provoked=rule.may_be_provoked,
    )


def rule_of_status(status: int) -> Rule:
    """For codes nobody has told us of, and for servers that use none."""
    if status in {400, 422}:
        return Rule(_context_or_invalid)
    if status == 413:
        return Rule(_too_large)
    if status in {401, 402, 403}:
        return _CLOSED_ACCOUNT
    if status in _TIMEOUT_STATUSES:
        return _TIMEOUT
    if status == 429:
        return Rule(_busy, may_retry=True, may_fall_over=True, scope=Scope.MODEL)
    if status == 404:
        return Rule(_failed, may_fall_over=True, alert=True)
    return _BREAKDOWN


def _from_status(status: int) -> UpstreamCallError:
    """An answer that is no JSON: a page of the edge, or one that was cut."""
    if status in _TIMEOUT_STATUSES:
        return UpstreamCallError.timeout(f"HTTP {status} without JSON", may_be_provoked=True)
    if status in _REFUSED_BY_THE_EDGE:
        # Too long, malformed, or taken for an attack: it says nothing of the model, which must
        # not be closed to everybody for it.
        rule = Rule(_too_large) if status == 413 else Rule(_refused, may_fall_over=True)
        return _failure(rule, 0, "no JSON", status)
    if status in {401, 402, 429}:
        return failure_for(0, "no JSON", status)
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
    if not code and "spent" in first:
        code = _SPENDING_LIMIT  # a policy's budget, which has no code
    return code, clean(str(first.get("message") or "unknown error"))


def clean(message: str) -> str:
    """Without the request id at its end and the engine's prefixes; the engine's own text
    where it is JSON inside the message."""
    # What is longer repeats what the client sent.
    message = _REQUEST_ID.sub("", message[-_LONGEST_TEXT:])
    while message.startswith("AiError: "):
        message = message.removeprefix("AiError: ")
    if message.startswith("{"):
        with suppress(orjson.JSONDecodeError, AttributeError):
            message = str(orjson.loads(message).get("message", message))
    return message
