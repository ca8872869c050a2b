"""What all endpoints below /v1 share: reading a body, answering JSON, answering errors."""

import logging
import re
from functools import cache
from typing import Any, TypeVar

import orjson
from django.conf import settings
from django.core.exceptions import RequestDataTooBig
from django.db import InterfaceError, OperationalError
from django.http import Http404, HttpRequest, HttpResponse, UnreadablePostError
from pydantic import BaseModel, ValidationError
from rest_framework import exceptions as drf
from rest_framework.views import APIView

from agentflare import envelopes, errors
from agentflare.concurrency import off_loop
from agentflare.redis_store import RedisDownError

logger = logging.getLogger(__name__)
Params = TypeVar("Params", bound=BaseModel)
# No request that a model can take has more.
MAX_VALUES = 100_000
_LARGE_BYTES = 256 * 1024
_PERHAPS_NO_NUMBER = re.compile(rb"[0-9]{19}|NaN|Infinity")
_LONG_NUMBER = re.compile(rb"(?<![0-9.eE+-])-?[0-9]{19,}(?![0-9.eE])")


class JsonResponse(HttpResponse):
    """orjson instead of Django's JsonResponse: a tenth of the time on the hot path."""

    def __init__(
        self, data: Any, *, status: int = 200, headers: dict[str, str] | None = None
    ) -> None:
        body = orjson.dumps(data)
        super().__init__(body, status=status, headers=headers, content_type="application/json")
        # No middleware adds it below /v1; without it the answer would go out chunked.
        self["Content-Length"] = str(len(body))


def error_response(
    error: errors.GatewayError, *, request: HttpRequest | None = None
) -> JsonResponse:
    """In the envelope of the API that the request speaks; OpenAI's where none is given."""
    if request is not None and envelopes.speaks_anthropic(request):
        body = envelopes.anthropic_body(error, request_id=envelopes.request_id_of(request))
        status = envelopes.anthropic_status(error)
        return JsonResponse(body, status=status, headers=error.headers)
    return JsonResponse(error.body(), status=error.status, headers=error.headers)


def as_gateway_error(exc: Exception) -> errors.GatewayError | None:
    """The refusal that an exception stands for; None: our own fault, to be logged."""
    match exc:
        case errors.GatewayError():
            return exc
        case drf.MethodNotAllowed():
            return errors.MethodNotAllowedError(str(exc.detail))
        case drf.NotFound() | Http404():
            return errors.NotFoundError("Not found.")
        case drf.APIException():
            return errors.InvalidRequestError(str(exc.detail))
        case UnreadablePostError():
            return errors.BodyTooSlowError()
        case RequestDataTooBig():
            return errors.BodyTooLargeError(settings.DATA_UPLOAD_MAX_MEMORY_SIZE)
        case OperationalError() | InterfaceError():
            logger.warning("PostgreSQL does not answer: %s", exc)
            return errors.ServiceUnavailableError()
        case _ if isinstance(exc, RedisDownError):
            logger.warning("Redis does not answer: %s", exc)
            return errors.ServiceUnavailableError()
    return None


class ApiView(APIView):
    """An endpoint below /v1. Handlers raise GatewayError and return HttpResponse.

    Parsers, renderers and negotiation of DRF are left out: bodies are read by
    `read_params`, since pydantic tells the field at fault and is far faster on
    long lists of messages (docs/adr/0003).
    """

    parser_classes = ()
    throttle_classes = ()
    permission_classes = ()
    metadata_class = None  # OPTIONS is refused like any other method

    def get_authenticators(self) -> list[Any]:
        """They have no state: one of each is enough."""
        return _authenticators(tuple(self.authentication_classes))

    def perform_content_negotiation(self, request: Any, force: bool = False) -> Any:
        """Every answer is JSON or an event stream, whatever the client accepts."""
        return None, None

    def handle_exception(self, exc: Exception) -> Any:
        error = as_gateway_error(exc)
        if error is None:
            raise exc
        response = error_response(error, request=self.request._request)
        if isinstance(error, errors.MethodNotAllowedError):
            response["Allow"] = ", ".join(self.allowed_methods)
        return response

    def http_method_not_allowed(self, request: Any, *args: Any, **kwargs: Any) -> Any:
        raise errors.MethodNotAllowedError(
            f"Method {request.method} is not allowed on {request.path}. "
            f"Use {' or '.join(m for m in self.allowed_methods if m != 'OPTIONS')}."
        )


@cache
def _authenticators(kinds: tuple[Any, ...]) -> list[Any]:
    return [kind() for kind in kinds]


def read_params(
    request: HttpRequest, model: type[Params], *, max_values: int = MAX_VALUES
) -> Params:
    """Parse and validate a JSON body.

    max_values: as many strings, numbers, objects and so on can stand in it.
    Raises InvalidRequestError naming the field, UnknownParamError,
    UnsupportedMediaTypeError or BodyTooLargeError.
    """
    check_encoding(request)
    return validated(model, request.body, max_values=max_values)


def validated(model: type[Params], body: bytes, *, max_values: int = MAX_VALUES) -> Params:
    """A JSON document as a model. Raises InvalidRequestError or UnknownParamError.

    A model whose `is_written_again` is true has only what JSON can be made of again.
    """
    check_values(body, max_values)
    if getattr(model, "is_written_again", False):
        check_numbers(body)
    try:
        if len(body) < _LARGE_BYTES:
            return model.model_validate_json(body)
        return off_loop(lambda: model.model_validate_json(body))
    except ValidationError as exc:
        raise invalid_params(exc) from None


def check_values(body: bytes, most: int, *, marks: tuple[bytes, ...] = (b",", b"[", b"{")) -> None:
    """pydantic would make an object of each value, or an error: some megabytes of a stranger's
    can fill our memory, and take a minute.

    marks: what stands before each value that counts. Raises InvalidRequestError.
    """
    if sum(map(body.count, marks)) < most:
        return
    # In texts they count for nothing.
    quoted = _with_plain_quotes(body)
    has_too_many_texts = quoted.count(b'"') > 2 * most
    if has_too_many_texts or sum(map(_between_texts(quoted).count, marks)) >= most:
        raise errors.InvalidRequestError(f"The body holds more than {most} values.")


def check_numbers(body: bytes) -> None:
    """What can be read and not be written again: whole numbers beyond 64 bits, and none at all.

    Raises InvalidRequestError.
    """
    if not _PERHAPS_NO_NUMBER.search(body):
        return
    bare = _between_texts(_with_plain_quotes(body))
    if b"NaN" in bare or b"Infinity" in bare:
        raise errors.InvalidRequestError("NaN and Infinity are no JSON.")
    for found in _LONG_NUMBER.finditer(bare):
        if not -(2**63) <= int(found[0][:40]) < 2**64:
            raise errors.InvalidRequestError(
                "A whole number in the body has more than 64 bits. Send it as a string."
            )


def _with_plain_quotes(body: bytes) -> bytes:
    """Where each quotation mark begins or ends a text."""
    return body.replace(rb"\\", b"").replace(rb"\"", b"")


def _between_texts(quoted: bytes) -> bytes:
    return b"".join(quoted.split(b'"')[::2])


def check_encoding(request: HttpRequest) -> None:
    content_type = request.META.get("CONTENT_TYPE", "").partition(";")[0].strip().lower()
    if content_type != "application/json":
        raise errors.UnsupportedMediaTypeError(
            f"Unsupported content type {content_type or '(none)'!r}. "
            "Send the body as JSON with Content-Type: application/json."
        )
    check_content_encoding(request)


def check_content_encoding(request: HttpRequest) -> None:
    encoding = request.META.get("HTTP_CONTENT_ENCODING", "identity").strip().lower()
    if encoding not in {"", "identity"}:
        raise errors.UnsupportedMediaTypeError(
            f"Content-Encoding {encoding!r} is not supported. Send the body uncompressed."
        )


# OpenAI's codes by pydantic's; every other fault is of the type.
_CODES = {
    "value_error": "invalid_value",
    "literal_error": "invalid_value",
    "not_a_content_part": "invalid_value",
    "greater_than_equal": "integer_below_min_value",
    "less_than_equal": "integer_above_max_value",
    "too_short": "empty_array",
    "too_long": "array_above_max_length",
    "string_too_short": "empty_string",
    "string_too_long": "string_above_max_length",
}


def invalid_params(exc: ValidationError) -> errors.GatewayError:
    """The first fault pydantic found, as OpenAI words it."""
    fault = exc.errors(include_url=False)[0]
    if fault["type"] == "json_invalid":
        return errors.InvalidRequestError(
            "We could not parse the JSON body of your request. (HINT: This likely means you "
            f"aren't using your HTTP library correctly. {fault['msg']}.)"
        )
    param = param_path(fault["loc"])
    if fault["type"] == "extra_forbidden":
        return errors.UnknownParamError(param)
    if fault["type"] == "none_required":
        return errors.UnsupportedParamError(
            f"The parameter '{param}' is not supported.", param=param
        )
    if fault["type"] == "missing":
        return errors.InvalidRequestError(
            f"Missing required parameter: '{param}'.",
            param=param,
            code="missing_required_parameter",
        )
    if not param:
        return errors.InvalidRequestError("The JSON body must be an object.")
    reason = fault["msg"].removeprefix("Value error, ")
    return errors.InvalidRequestError(
        f"Invalid value for '{param}': {reason[:1].lower()}{reason[1:]}.",
        param=param,
        code=_CODES.get(fault["type"], "invalid_type"),
    )


def param_path(loc: tuple[int | str, ...]) -> str:
    """('messages', 0, 'content') as `messages[0].content`.

    Pydantic puts the member of a union into the path too. Tag members with a name that
    starts with a colon: those are left out.
    """
    path = ""
    for part in loc:
        if isinstance(part, int):
            path += f"[{part}]"
        elif not part.startswith(":"):
            path += f".{part}" if path else part
    return path


def not_found(request: HttpRequest) -> JsonResponse:
    """OpenAI's answer to a URL that does not exist."""
    error = errors.NotFoundError(f"Invalid URL ({request.method} {request.path})")
    return error_response(error, request=request)


def server_error(request: HttpRequest) -> JsonResponse:
    error = errors.GatewayError(
        "The server had an error while processing your request. Sorry about that! "
        "If it happens again, tell us the x-request-id of this answer."
    )
    return error_response(error, request=request)
