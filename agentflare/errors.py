"""Every refusal a client may read, in OpenAI's envelope.

Services raise these; `agentflare.api` and the middleware turn them into responses.
OpenAI's clients choose their exception class by status and switch on `code`.
"""

import math
from typing import Any


class GatewayError(Exception):
    """A refusal the client may read.

    Subclasses set status, type and code as OpenAI does; `param` names the field at fault.
    """

    status = 500
    type = "server_error"
    code: str | None = None

    def __init__(
        self,
        message: str,
        *,
        param: str | None = None,
        code: str | None = None,
        headers: dict[str, str] | None = None,
    ) -> None:
        super().__init__(message)
        self.message = message
        self.param = param
        self.code = code or self.code
        self.headers = headers or {}

    def body(self) -> dict[str, Any]:
        return {
            "error": {
                "message": self.message,
                "type": self.type,
                "param": self.param,
                "code": self.code,
            }
        }


def retry_after(seconds: float) -> dict[str, str]:
    """Both headers that clients know: whole seconds, and milliseconds, which win where known."""
    return {
        "retry-after": str(max(1, math.ceil(seconds))),
        "retry-after-ms": str(max(1, math.ceil(seconds * 1000))),
    }


class InvalidRequestError(GatewayError):
    status = 400
    type = "invalid_request_error"


class UnknownParamError(InvalidRequestError):
    code = "unknown_parameter"

    def __init__(self, param: str) -> None:
        super().__init__(f"Unknown parameter: '{param}'.", param=param)


class UnsupportedParamError(InvalidRequestError):
    """The parameter exists, but not for this AI model."""

    code = "unsupported_parameter"


class ContextLengthError(InvalidRequestError):
    code = "context_length_exceeded"

    def __init__(self, *, context_window: int, prompt_tokens: int, param: str = "messages") -> None:
        """param: the text that is too long, where it is not all messages together."""
        self.context_window, self.prompt_tokens = context_window, prompt_tokens
        is_chat = param == "messages"
        what = "your messages" if is_chat else f"'{param}'"
        remedy = (
            "Please reduce the length of the messages."
            if is_chat
            else "Please split this text, or use a model with a larger window."
        )
        super().__init__(
            f"This model's maximum context length is {context_window} tokens. However, {what} "
            f"resulted in about {prompt_tokens} tokens. {remedy}",
            param=param,
        )


class InvalidApiKeyError(GatewayError):
    status = 401
    type = "invalid_request_error"
    code = "invalid_api_key"


class MissingApiKeyError(InvalidApiKeyError):
    def __init__(self) -> None:
        super().__init__(
            "You didn't provide an API key. You need to provide your API key in an "
            "Authorization header using Bearer auth (i.e. Authorization: Bearer YOUR_KEY)."
        )


class IpNotAllowedError(GatewayError):
    status = 401
    type = "invalid_request_error"
    code = "ip_not_authorized"

    def __init__(self, ip: str | None) -> None:
        super().__init__(
            f"This API key may not be used from {ip or 'an unknown address'}. Its IP ranges are "
            "set in the dashboard."
        )


class InsufficientScopeError(GatewayError):
    status = 403
    type = "invalid_request_error"
    code = "insufficient_permissions"

    def __init__(self, scope: str) -> None:
        super().__init__(
            f"You have insufficient permissions for this operation: this API key has no scope "
            f"`{scope}`."
        )


class TenantSuspendedError(GatewayError):
    status = 403
    type = "permission_error"
    code = "tenant_suspended"


class NotFoundError(GatewayError):
    status = 404
    type = "invalid_request_error"


class ThreadNotFoundError(NotFoundError):
    """Anthropic's conversations held by the server. Their clients then send all of it again."""

    code = "thread_not_found"

    def __init__(self) -> None:
        super().__init__(
            "Threads are not kept here: send the whole conversation in 'messages'.",
            param="thread.previous_message_id",
        )


class ModelNotFoundError(NotFoundError):
    code = "model_not_found"

    def __init__(self, name: str, *, why: str | None = None) -> None:
        why = why or "does not exist or you do not have access to it"
        super().__init__(f"The model `{name}` {why}.", param="model")


class MethodNotAllowedError(GatewayError):
    status = 405
    type = "invalid_request_error"
    code = "method_not_allowed"


class BodyTooSlowError(GatewayError):
    status = 408
    type = "invalid_request_error"
    code = "request_timeout"

    def __init__(self) -> None:
        super().__init__(
            "The body of the request did not arrive in time. Check your connection, and that "
            "Content-Length is right."
        )


class BodyTooLargeError(GatewayError):
    status = 413
    type = "invalid_request_error"
    code = "request_too_large"

    def __init__(self, limit_bytes: int) -> None:
        super().__init__(f"The request body is larger than {limit_bytes} bytes.")


class UpstreamTooLargeError(GatewayError):
    """Within our limit, but over the model's."""

    status = 413
    type = "invalid_request_error"
    code = "request_too_large"


class ContentPolicyError(InvalidRequestError):
    """A filter at the provider refused the input, or what was made of it."""

    code = "content_policy_violation"


class UnsupportedMediaTypeError(GatewayError):
    status = 415
    type = "invalid_request_error"
    code = "unsupported_media_type"


class KeyEndedError(GatewayError):
    """The API key to be changed has been revoked or rotated, or has expired."""

    status = 409
    type = "invalid_request_error"
    code = "api_key_ended"

    def __init__(self, message: str) -> None:
        super().__init__(message, headers={"x-should-retry": "false"})


class IdempotencyKeyInUseError(GatewayError):
    """The first call with this Idempotency-Key still runs: retry later, get its answer."""

    status = 409
    type = "invalid_request_error"
    code = "idempotency_key_in_use"

    def __init__(self) -> None:
        super().__init__(
            "A request with this Idempotency-Key is still running. Retry later to get its answer.",
            headers={"retry-after": "1"},
        )


class IdempotencyAnswerNotKeptError(GatewayError):
    """The first call has ended, but its answer is not here: calling again would charge twice."""

    status = 409
    type = "invalid_request_error"
    code = "idempotency_answer_not_kept"

    def __init__(self) -> None:
        super().__init__(
            "The request with this Idempotency-Key has ended, but its answer was not kept. It is "
            "not made again, so that you are not charged twice. Use a new key to call again.",
            headers={"x-should-retry": "false"},
        )


class IdempotencyKeyReusedError(GatewayError):
    status = 422
    type = "invalid_request_error"
    code = "idempotency_key_reused"

    def __init__(self) -> None:
        super().__init__(
            "This Idempotency-Key was used for a request with another path or body. "
            "Use a new key for every new request."
        )


class CreditError(GatewayError):
    """Money does not pay for the call. available_nusd: what it could cost and be let through."""

    status = 429
    type = "insufficient_quota"

    def __init__(
        self, message: str, *, headers: dict[str, str], available_nusd: int | None = None
    ) -> None:
        super().__init__(message, headers=headers)
        self.available_nusd = available_nusd


class InsufficientCreditError(CreditError):
    """The balance does not pay for the call.

    429, not 402: OpenAI answers an empty account so, and its clients have no class
    for 402. They would retry a 429, unless this header forbids it.
    """

    code = "insufficient_quota"

    def __init__(self, message: str, *, available_nusd: int | None = None) -> None:
        super().__init__(
            message, headers={"x-should-retry": "false"}, available_nusd=available_nusd
        )


class CreditHeldError(CreditError):
    """The balance would pay, but the tenant's running calls hold it: retry later."""

    code = "credit_held"

    def __init__(self, message: str, *, available_nusd: int | None = None) -> None:
        super().__init__(message, headers=retry_after(1), available_nusd=available_nusd)


class KeyBudgetError(CreditError):
    """What the API key may spend in a day, a month or its life does not pay for the call.

    is_held: the key's own running calls hold the rest of it, so a retry may succeed.
    """

    code = "key_budget_exceeded"

    def __init__(self, message: str, *, is_held: bool, available_nusd: int | None = None) -> None:
        headers = retry_after(1) if is_held else {"x-should-retry": "false"}
        super().__init__(message, headers=headers, available_nusd=available_nusd)


class RateLimitError(GatewayError):
    """A limit of the workspace, of the API key, or of the key at one model.

    OpenAI tells by the type which of its limits was reached: "requests" or "tokens".
    """

    status = 429
    code = "rate_limit_exceeded"

    def __init__(self, message: str, *, kind: str, retry_after_s: float | None) -> None:
        never = {"x-should-retry": "false"}
        super().__init__(
            message, headers=never if retry_after_s is None else retry_after(retry_after_s)
        )
        self.type = kind


class UpstreamError(GatewayError):
    """Upstream failed in a way the client can do nothing about; its text is not shown."""

    status = 502
    code = "upstream_error"


class UpstreamBusyError(UpstreamError):
    status = 503
    code = "upstream_busy"

    def __init__(self, message: str, *, retry_after_s: float = 2.0) -> None:
        super().__init__(message, headers=retry_after(retry_after_s))


class UpstreamRateLimitError(GatewayError):
    """The provider's own limit of calls per minute, which all tenants share."""

    status = 429
    type = "requests"
    code = "rate_limit_exceeded"

    def __init__(self, *, retry_after_s: float) -> None:
        super().__init__(
            "The provider's rate limit for this kind of model has been reached. Please retry "
            "when the minute is over.",
            headers=retry_after(retry_after_s),
        )


class UpstreamQuotaError(GatewayError):
    """The platform's allowance at the provider is used up: no matter of the tenant's credit."""

    status = 429
    type = "insufficient_quota"
    code = "insufficient_quota"

    def __init__(self, *, retry_after_s: float) -> None:
        super().__init__(
            "The platform's quota at the provider is used up. Your credit is not concerned, and "
            "the operator has been told.",
            headers={**retry_after(retry_after_s), "x-should-retry": "false"},
        )


class UpstreamTimeoutError(UpstreamError):
    status = 504
    code = "upstream_timeout"


class JsonNotMetError(UpstreamError):
    """The model was asked for JSON twice, and wrote something else. Nothing is charged."""

    code = "json_schema_not_met"

    def __init__(self, why: str) -> None:
        super().__init__(
            f"The model's answer was not the JSON that was asked for: {why}. "
            "Choose a model with JSON mode (`json_mode` among its capabilities), or simplify "
            "the schema.",
            headers={"x-should-retry": "false"},
        )


class ServiceUnavailableError(GatewayError):
    """One of our own stores is down. Nothing was called and nothing is charged."""

    status = 503
    code = "service_unavailable"

    def __init__(
        self, message: str = "The service is temporarily unavailable.", *, retry_after_s: float = 1
    ) -> None:
        super().__init__(message, headers=retry_after(retry_after_s))
