"""The envelopes of refusals: OpenAI's, and Anthropic's on its paths."""

from typing import Literal

from inference.reference.answers.base import SOMETIMES, Answer


class ErrorBody(Answer):
    message: str
    """For people. It may change."""
    type: str
    """The kind of fault, such as `invalid_request_error` or `insufficient_quota`."""
    param: str | None
    """The field at fault, as a path: `messages[0].content`."""
    code: str | None
    """For programs: what to switch on."""


class Error(Answer):
    """OpenAI's envelope of an error."""

    error: ErrorBody


class AnthropicErrorDetails(Answer):
    error_code: str
    """For programs: the same code as in OpenAI's envelope."""


class AnthropicErrorBody(Answer):
    type: Literal[
        "invalid_request_error",
        "authentication_error",
        "billing_error",
        "permission_error",
        "not_found_error",
        "request_too_large",
        "rate_limit_error",
        "api_error",
        "timeout_error",
        "overloaded_error",
    ]
    message: str
    """For people. It may change."""
    details: AnthropicErrorDetails = SOMETIMES


class AnthropicError(Answer):
    """Anthropic's envelope of an error."""

    type: Literal["error"]
    error: AnthropicErrorBody
    request_id: str
    """The same as in the header `request-id`."""
