"""Every refusal, made by the classes that make it, so that its status and its words are true.

`WHEN` says to people what each means; the table on the page and every operation's errors come
from here.
"""

from collections.abc import Iterable
from http import HTTPStatus

from agentflare import errors
from agentflare.envelopes import anthropic_body, anthropic_status
from inference.reference.answers.errors import AnthropicError, Error
from inference.reference.operation import Dialect
from inference.reference.schemas import Schema, ref

_REQUEST_ID = "req_019aa3b2c4d57e8f9a0b1c2d3e4f5061"

INVALID = errors.InvalidRequestError(
    "Invalid value for 'response_format.type': input should be 'text', 'json_object' or "
    "'json_schema'.",
    param="response_format.type",
    code="invalid_value",
)
UNKNOWN_PARAM = errors.UnknownParamError("temprature")
UNSUPPORTED_PARAM = errors.UnsupportedParamError(
    "The model `bge-m3` has vectors of 1024 dimensions only.", param="dimensions"
)
TEXT_LENGTH = errors.ContextLengthError(context_window=512, prompt_tokens=900, param="input[17]")
CONTEXT_LENGTH = errors.ContextLengthError(context_window=131_072, prompt_tokens=140_000)
CONTENT_POLICY = errors.ContentPolicyError("The provider's filter refused the input.")
NO_KEY = errors.MissingApiKeyError()
WRONG_KEY = errors.InvalidApiKeyError("Incorrect API key provided: oi_abc*****xyz.")
WRONG_IP = errors.IpNotAllowedError("198.51.100.7")
NO_SCOPE = errors.InsufficientScopeError("admin")
NO_SUCH_KEY = errors.NotFoundError("There is no such API key.", code="api_key_not_found")
NO_SUCH_RECORD = errors.NotFoundError(
    "There is no such usage record. A call arrives here within some seconds of its end; one that "
    "was refused leaves none; old ones may have been archived.",
    code="usage_record_not_found",
)
KEY_ENDED = errors.KeyEndedError("The API key has been revoked or has expired.")
SUSPENDED = errors.TenantSuspendedError("This account is suspended: the invoice is overdue.")
NO_SUCH_MODEL = errors.ModelNotFoundError("gpt-nonsense")
WRONG_KIND = errors.NotFoundError(
    "The model `bge-m3` is a model for embeddings and not supported in the "
    "v1/chat/completions endpoint.",
    param="model",
    code="model_not_supported",
)
NO_SUCH_IMAGE = errors.NotFoundError(
    "There is no such image, or its time is over: an image is kept for an hour.",
    code="image_not_found",
)
NO_SUCH_CONVERSATION = errors.NotFoundError(
    "Conversation with id 'conv_019aa3b2c4d57e8f9a0b1c2d3e4f5061' not found.",
    code="conversation_not_found",
)
NO_SUCH_ITEM = errors.NotFoundError(
    "There is no such item in this conversation.", code="item_not_found"
)
METHOD = errors.MethodNotAllowedError("Method PUT is not allowed on /v1/models. Use GET.")
KEY_IN_USE = errors.IdempotencyKeyInUseError()
ANSWER_NOT_KEPT = errors.IdempotencyAnswerNotKeptError()
KEY_REUSED = errors.IdempotencyKeyReusedError()
TOO_SLOW = errors.BodyTooSlowError()
TOO_LARGE = errors.BodyTooLargeError(26_214_400)
UPSTREAM_TOO_LARGE = errors.UpstreamTooLargeError("The request is too large for this model.")
MEDIA_TYPE = errors.UnsupportedMediaTypeError(
    "Unsupported content type 'text/plain'. Send the body as JSON with Content-Type: "
    "application/json."
)
NO_CREDIT = errors.InsufficientCreditError(
    "You exceeded your current quota: your credit does not pay for this call. This call may cost "
    "up to $0.012000000, and $0.004100000 is available. Add credit in the dashboard, or lower "
    "max_tokens."
)
CREDIT_HELD = errors.CreditHeldError(
    "This call may cost up to $0.012000000, and your running calls hold $0.900000000 of your "
    "credit: $0.004100000 is available. Retry when they have ended."
)
BUDGET = errors.KeyBudgetError(
    "This API key may spend $1.500000000 in a day (UTC). This call may cost up to $0.012000000, "
    "$1.490000000 is spent. Raise the budget in the dashboard, or lower max_tokens.",
    is_held=False,
)
REQUESTS = errors.RateLimitError(
    "Rate limit reached for this workspace on requests per minute: limit 60, used 60, requested "
    "1. Please try again in 12.4s.",
    kind="requests",
    retry_after_s=12.4,
)
TOKENS = errors.RateLimitError(
    "Rate limit reached for this API key on tokens per minute: limit 100000, used 98000, "
    "requested 4113. Please try again in 3s.",
    kind="tokens",
    retry_after_s=3,
)
RATE_LIMIT = errors.UpstreamRateLimitError(retry_after_s=12)
QUOTA = errors.UpstreamQuotaError(retry_after_s=3600)
OURS = errors.GatewayError(
    "The server had an error while processing your request. Sorry about that! "
    "If it happens again, tell us the x-request-id of this answer."
)
UPSTREAM = errors.UpstreamError("The upstream service failed to answer.")
JSON_NOT_MET = errors.JsonNotMetError("it is not valid JSON")
UNAVAILABLE = errors.ServiceUnavailableError()
BUSY = errors.UpstreamBusyError("The model is at capacity. Please retry shortly.")
TIMEOUT = errors.UpstreamTimeoutError("The upstream service did not answer in time.")

WHEN: dict[errors.GatewayError, str] = {
    INVALID: "A parameter has a wrong type or value, or is missing; or the body is no JSON. "
    "`param` names it.",
    UNKNOWN_PARAM: "A parameter that nobody knows, mostly a slip of the pen.",
    UNSUPPORTED_PARAM: "A parameter that exists, but not for this model, or not here.",
    TEXT_LENGTH: "One of the texts is longer than the model's window.",
    CONTEXT_LENGTH: "The prompt is longer than the model's window.",
    CONTENT_POLICY: "A filter at the provider refused the input, or what was made of it.",
    NO_KEY: "No API key, or not in the form `Bearer oi_…`.",
    WRONG_KEY: "An API key that does not exist, or has been revoked; or two that differ.",
    WRONG_IP: "The API key may not be used from this address.",
    NO_SCOPE: "The API key has not the scope that this needs.",
    NO_SUCH_KEY: "No such API key.",
    NO_SUCH_RECORD: "No such call, or it is not booked yet, or was archived.",
    KEY_ENDED: "The API key to be changed has been revoked or rotated, or has expired.",
    SUSPENDED: "Your account is suspended.",
    NO_SUCH_MODEL: "No such model, or one that is not served; the message says why.",
    WRONG_KIND: "The model exists, but is for another endpoint.",
    NO_SUCH_IMAGE: "No such image, or its hour is over.",
    NO_SUCH_CONVERSATION: "No such conversation, or it was deleted.",
    NO_SUCH_ITEM: "No such item there, or it was deleted.",
    METHOD: "Another method than this path has. `Allow` names those it has.",
    KEY_IN_USE: "The first request with this `Idempotency-Key` still runs: retry later.",
    ANSWER_NOT_KEPT: "The first request with this `Idempotency-Key` has ended, but its answer "
    "was not kept.",
    KEY_REUSED: "This `Idempotency-Key` was used for another request.",
    TOO_SLOW: "The body did not arrive in time.",
    TOO_LARGE: "The body is larger than we take.",
    UPSTREAM_TOO_LARGE: "The body is larger than the provider takes.",
    MEDIA_TYPE: "The body has another `Content-Type` than the endpoint takes, or is compressed.",
    NO_CREDIT: "The call may cost more than your credit. Add credit, or ask for less.",
    CREDIT_HELD: "Your credit would pay, but your own running calls hold it: retry later.",
    BUDGET: "What the API key may spend does not pay for the call.",
    REQUESTS: "A limit of the workspace, of the API key, or of the key at the model: of requests a "
    "minute, or of calls at once. The message names it.",
    TOKENS: "The same, of tokens a minute.",
    RATE_LIMIT: "The provider's limit of calls per minute: retry later.",
    QUOTA: "The platform's quota at the provider is used up. Your credit is not concerned.",
    OURS: "Our own fault. Nothing is charged.",
    UPSTREAM: "The provider failed. Nothing was delivered, nothing is charged.",
    JSON_NOT_MET: "The model was asked for JSON twice, and wrote something else. Nothing is "
    "charged.",
    UNAVAILABLE: "One of our own stores does not answer. Nothing was called.",
    BUSY: "The provider has no capacity: retry later.",
    TIMEOUT: "The provider took too long. Nothing is charged.",
}

# What every path answers, whoever asks.
ANYBODY = (METHOD, OURS, UNAVAILABLE)
WITH_KEY = (NO_KEY, WRONG_KEY, WRONG_IP, SUSPENDED, *ANYBODY)
WITH_SCOPE = (NO_SCOPE, *WITH_KEY)
WITH_BODY = (
    INVALID,
    UNKNOWN_PARAM,
    UNSUPPORTED_PARAM,
    NO_SUCH_MODEL,
    WRONG_KIND,
    KEY_IN_USE,
    ANSWER_NOT_KEPT,
    KEY_REUSED,
    TOO_LARGE,
    TOO_SLOW,
    MEDIA_TYPE,
    *WITH_SCOPE,
)
CALLS_A_MODEL = (
    *WITH_BODY,
    CONTENT_POLICY,
    UPSTREAM_TOO_LARGE,
    NO_CREDIT,
    CREDIT_HELD,
    BUDGET,
    REQUESTS,
    TOKENS,
    RATE_LIMIT,
    QUOTA,
    UPSTREAM,
    BUSY,
    TIMEOUT,
)
CHATS = (*CALLS_A_MODEL, CONTEXT_LENGTH, JSON_NOT_MET)


def status_of(error: errors.GatewayError, dialect: Dialect) -> int:
    return anthropic_status(error) if dialect == "anthropic" else error.status


def body_of(error: errors.GatewayError, dialect: Dialect) -> Schema:
    if dialect == "anthropic":
        return anthropic_body(error, request_id=_REQUEST_ID)
    return error.body()


def name_of(error: errors.GatewayError) -> str:
    return error.code or error.type


def error_responses(refusals: Iterable[errors.GatewayError], dialect: Dialect) -> dict[str, Schema]:
    """Status → response, as the document has it."""
    by_status: dict[int, list[errors.GatewayError]] = {}
    for error in refusals:
        by_status.setdefault(status_of(error, dialect), []).append(error)
    return {
        str(status): _response(status, found, dialect)
        for status, found in sorted(by_status.items())
    }


def _response(status: int, found: list[errors.GatewayError], dialect: Dialect) -> Schema:
    headers = {"x-request-id"}
    for error in found:
        headers.update(error.headers)
    if status == HTTPStatus.METHOD_NOT_ALLOWED:
        headers.add("Allow")
    return {
        "description": "\n".join(f"- `{name_of(error)}`: {WHEN[error]}" for error in found),
        "headers": {name: {"$ref": f"#/components/headers/{name}"} for name in sorted(headers)},
        "content": {
            "application/json": {
                "schema": _schema(dialect),
                "examples": {
                    _key(number, error): {"value": body_of(error, dialect)}
                    for number, error in enumerate(found)
                },
            }
        },
    }


def _key(number: int, error: errors.GatewayError) -> str:
    return f"{name_of(error)}_{number + 1}" if number else name_of(error)


def _schema(dialect: Dialect) -> Schema:
    if dialect == "both":
        return {"oneOf": [ref(Error), ref(AnthropicError)]}
    return ref(AnthropicError if dialect == "anthropic" else Error)
