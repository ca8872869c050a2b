"""Refusals in OpenAI's envelope."""

from typing import Any

from sandbox.workers_ai.errors import (
    AuthenticationError,
    ContextWindowError,
    EdgeError,
    StandInError,
)

TYPES_BY_STATUS = {
    401: "authentication_error",
    403: "permission_error",
    404: "not_found_error",
    429: "rate_limit_error",
}


def status_of(error: StandInError) -> int:
    """OpenAI refuses a prompt that is too long with 400."""
    return 400 if isinstance(error, ContextWindowError) else error.status


def error_body(error: StandInError) -> dict[str, Any]:
    """The code is a word or null: Workers AI's numbers mean nothing here."""
    code = getattr(error, "code", None)
    code = code if isinstance(code, str) else None
    if isinstance(error, ContextWindowError):
        code = "context_length_exceeded"
    if isinstance(error, AuthenticationError):
        code = "invalid_api_key"
    status = status_of(error)
    kind = TYPES_BY_STATUS.get(status, "server_error" if status >= 500 else "invalid_request_error")
    message = "Not found" if type(error) is EdgeError else getattr(error, "text", str(error))
    return {"error": {"message": message, "type": kind, "param": None, "code": code}}
