"""The three forms in which models take their input: JSON, a form, bytes."""

from collections.abc import Collection
from typing import Any

import orjson
from rest_framework.request import Request

from agentflare.api import MAX_VALUES, check_content_encoding, check_encoding, check_values
from agentflare.errors import InvalidRequestError, UnsupportedParamError
from agentflare.multipart import parse_form
from inference.metering.native import OUTPUT_CAPS
from inference.numbers import whole_number
from inference.upstreams.requests import FormRequest, JsonRequest, RawRequest, UpstreamRequest

# Options that would make a call outlive its hold, or change whom it is billed to.
_NOT_HERE = ("options", "requests", "model")
_COUNTS = (*OUTPUT_CAPS, "n", "best_of")


def native_request(request: Request) -> UpstreamRequest:
    """Raises InvalidRequestError or UnsupportedMediaTypeError."""
    http = request._request
    check_content_encoding(http)
    media_type = http.META.get("CONTENT_TYPE", "").partition(";")[0].strip().lower()
    if media_type == "multipart/form-data":
        return _form(http)
    if media_type.startswith(("audio/", "image/", "video/")) or media_type == (
        "application/octet-stream"
    ):
        if not http.body:
            raise InvalidRequestError("The body is empty.")
        # A client that leaves while it sends would pay for a part of its sound.
        if len(http.body) < int(http.META.get("CONTENT_LENGTH") or 0):
            raise InvalidRequestError("The body ends before the length that its header tells.")
        return RawRequest(http.body, http.META["CONTENT_TYPE"], query=_query(http))
    check_encoding(http)
    return JsonRequest(_document(http.body))


def _document(body: bytes) -> dict[str, Any]:
    # Numbers may be many: a sound is a list of them.
    check_values(body, MAX_VALUES, marks=(b"[", b"{"))
    try:
        document = orjson.loads(body)
    except orjson.JSONDecodeError as exc:
        raise InvalidRequestError(
            f"We could not parse the JSON body of your request: {exc}."
        ) from None
    if not isinstance(document, dict):
        raise InvalidRequestError("The JSON body must be an object.")
    _refuse_options(document)
    # Whatever is counted by them must read the same here and upstream.
    for name in _COUNTS:
        if name in document:
            document[name] = whole_number(document[name])
    return document


def _refuse_options(names: Collection[str]) -> None:
    for name in _NOT_HERE:
        if name in names:
            raise UnsupportedParamError(
                f"The parameter '{name}' is not supported on /v1/run.", param=name
            )


def _form(http: Any) -> FormRequest:
    """Of a name that comes twice, the last."""
    fields, uploads = parse_form(http)
    files = {name: items[-1] for name, items in uploads}
    for file in files.values():
        # It may have been read before.
        file.seek(0)
    _refuse_options([*(name for name, _ in fields), *files])
    return FormRequest(
        {name: str(texts[-1]) for name, texts in fields},
        {
            name: (file.name or "", file.read(), file.content_type or "application/octet-stream")
            for name, file in files.items()
        },
    )


def _query(http: Any) -> dict[str, str]:
    """Options of models that take bytes. What would queue the call is left out."""
    return {name: value for name, value in http.GET.items() if name != "queueRequest"}
