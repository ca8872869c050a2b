"""Errors as Anthropic's clients read them, on the paths that speak Anthropic's language.

Everywhere else below /v1 it is OpenAI's envelope: `GatewayError.body`.
"""

from typing import Any

from django.http import HttpRequest

from agentflare import errors

VERSION_HEADER = "HTTP_ANTHROPIC_VERSION"
# What Anthropic answers where OpenAI has another status, or none.
_PAYMENT_REQUIRED = 402
_OVERLOADED = 529
_TYPES = {
    401: "authentication_error",
    402: "billing_error",
    403: "permission_error",
    404: "not_found_error",
    413: "request_too_large",
    429: "rate_limit_error",
    504: "timeout_error",
    529: "overloaded_error",
}


def speaks_anthropic(request: HttpRequest) -> bool:
    """The Messages API does; the list of models, which OpenAI has too, if the client does."""
    path = request.path_info
    if _is_at(path, "/v1/messages"):
        return True
    return _is_at(path, "/v1/models") and VERSION_HEADER in request.META


def _is_at(path: str, root: str) -> bool:
    return path == root or path.startswith(f"{root}/")


def request_id_of(request: HttpRequest) -> str:
    """As it stands in the headers of the answer."""
    return f"req_{request.id.hex}"  # type: ignore[attr-defined]  # by RequestIdMiddleware


def anthropic_status(error: errors.GatewayError) -> int:
    """Anthropic's clients choose their exception class by status, and retry by it.

    An empty account is 402: unlike OpenAI's they have a class for it, and their 429 means
    nothing but "slow down". Upstream's lack of capacity is their 529.
    """
    if isinstance(error, errors.InsufficientCreditError):
        return _PAYMENT_REQUIRED
    if isinstance(error, errors.UpstreamBusyError):
        return _OVERLOADED
    return error.status


def anthropic_body(error: errors.GatewayError, *, request_id: str) -> dict[str, Any]:
    """Our own code stands where their SDK reads it: `exception.error_code`."""
    status = anthropic_status(error)
    told: dict[str, Any] = {
        "type": _TYPES.get(status, "invalid_request_error" if status < 500 else "api_error"),
        "message": _message(error),
    }
    if error.code:
        told["details"] = {"error_code": error.code}
    return {"type": "error", "error": told, "request_id": request_id}


def _message(error: errors.GatewayError) -> str:
    if isinstance(error, errors.ContextLengthError):
        # Agents know by these words that they have to shorten the conversation.
        return f"prompt is too long: {error.message}"
    return error.message
