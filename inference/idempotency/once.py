"""One answer for one Idempotency-Key, however often it is asked for."""

from collections.abc import Callable

from django.http import HttpRequest, HttpResponse, HttpResponseBase, StreamingHttpResponse

from agentflare.errors import InvalidRequestError
from inference.idempotency.answers import compress, head_of, replay
from inference.idempotency.fingerprint import fingerprint
from inference.idempotency.store import Claim, KeptAnswer, claim
from inference.idempotency.streams import detach

MAX_KEY_LENGTH = 255


def has_idempotency_key(request: HttpRequest) -> bool:
    return request.method == "POST" and "HTTP_IDEMPOTENCY_KEY" in request.META


def answer_once(
    request: HttpRequest, *, tenant_code: str, run: Callable[[], HttpResponseBase], space: str = ""
) -> HttpResponseBase:
    """`run` the request, unless its Idempotency-Key has been used: then its first answer.

    Only an answer of success is kept. After any other the key is free: OpenAI's clients
    repeat 429 and 5xx by themselves, and would get the same refusal for a day.

    space: whose keys they are, where not the tenant's.
    Raises what `run` raises; InvalidRequestError, IdempotencyKeyInUseError,
    IdempotencyKeyReusedError, IdempotencyAnswerNotKeptError or RedisDownError before it runs.
    """
    taken = claim(
        tenant_code=tenant_code,
        idempotency_key=space + _idempotency_key(request),
        fingerprint=fingerprint(request),
        request_id=request.id.hex,  # type: ignore[attr-defined]  # by RequestIdMiddleware
    )
    if isinstance(taken, KeptAnswer):
        return replay(taken)
    try:
        return _keep(run(), taken)
    except BaseException:
        taken.release()
        raise


def _keep(response: HttpResponseBase, taken: Claim) -> HttpResponseBase:
    if not 200 <= response.status_code < 300:
        taken.release()
    elif isinstance(response, StreamingHttpResponse):
        return detach(response, taken)
    elif isinstance(response, HttpResponse):
        head = head_of(response, request_id=taken.request_id)
        taken.keep(head, compress(response.content))
    return response


def _idempotency_key(request: HttpRequest) -> str:
    key: str = request.META["HTTP_IDEMPOTENCY_KEY"].strip()
    if not 0 < len(key) <= MAX_KEY_LENGTH:
        raise InvalidRequestError(
            f"The header Idempotency-Key must have 1 to {MAX_KEY_LENGTH} characters, "
            f"and has {len(key)}.",
            code="invalid_idempotency_key",
        )
    return key
