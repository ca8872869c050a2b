"""Reading multipart/form-data, as OpenAI's clients send files: `read_multipart`.

Lists arrive as `name[]`, repeated; objects as `name[key]`. Everything that is no file is text,
so params models of forms must not be strict.
"""

from collections.abc import Collection, Iterable
from dataclasses import dataclass
from typing import Any, TypeVar

from django.core.exceptions import (
    RequestDataTooBig,
    SuspiciousOperation,
    TooManyFieldsSent,
    TooManyFilesSent,
)
from django.core.files.uploadedfile import UploadedFile
from django.http import HttpRequest
from django.http.multipartparser import MultiPartParserError
from pydantic import BaseModel, ValidationError

from agentflare.api import check_content_encoding, invalid_params
from agentflare.errors import InvalidRequestError, UnknownParamError, UnsupportedMediaTypeError

Params = TypeVar("Params", bound=BaseModel)
_FORM = "multipart/form-data"


@dataclass(frozen=True, slots=True)
class FormFile:
    """A file of a form. content_type: what the client says it is; empty if it says nothing."""

    name: str
    content: bytes
    content_type: str


def read_multipart(
    request: HttpRequest, model: type[Params], *, files: Collection[str] = ("file",)
) -> tuple[Params, dict[str, list[FormFile]]]:
    """The form's fields, validated, and its files by name.

    files: the names that are files. Of each the answer has a list, empty where none was sent.
    Both `image` and `image[]` are `image`.
    Raises InvalidRequestError naming the field, UnknownParamError, UnsupportedMediaTypeError
    or RequestDataTooBig.
    """
    check_form_encoding(request)
    fields, uploads = parse_form(request)
    found: dict[str, list[FormFile]] = {name: [] for name in files}
    for sent_name, items in uploads:
        name = sent_name.removesuffix("[]")
        if name in found:
            found[name].extend(_form_file(item) for item in items)
        elif name in model.model_fields:
            raise InvalidRequestError(
                f"Invalid type for '{name}': expected text, but got a file.",
                param=name,
                code="invalid_type",
            )
        else:
            raise UnknownParamError(name)
    values = nested(fields)
    if wrong := next((name for name in files if name in values), None):
        raise InvalidRequestError(
            f"Invalid type for '{wrong}': expected a file, but got text. "
            "A file's part of the form needs a filename.",
            param=wrong,
            code="invalid_type",
        )
    try:
        return model.model_validate(values), found
    except ValidationError as exc:
        raise invalid_params(exc) from None


def check_form_encoding(request: HttpRequest) -> None:
    content_type = request.META.get("CONTENT_TYPE", "").partition(";")[0].strip().lower()
    if content_type != _FORM:
        raise UnsupportedMediaTypeError(
            f"Unsupported content type {content_type or '(none)'!r}. "
            f"Send the body with Content-Type: {_FORM}."
        )
    check_content_encoding(request)


def nested(fields: Iterable[tuple[str, list[str]]]) -> dict[str, Any]:
    """`a` as text, `a[]` (and a repeated `a`) as a list, `a[b]` as an object.

    Raises InvalidRequestError for a name that comes in two of these forms.
    """
    values: dict[str, Any] = {}
    for sent_name, texts in fields:
        name, bracket, key = sent_name.partition("[")
        value: Any
        if not bracket:
            value = texts[0] if len(texts) == 1 else texts
        elif key == "]":
            value = texts
        else:
            earlier = values.pop(name, {})
            member = {key.removesuffix("]"): texts[-1]}
            value = {**earlier, **member} if isinstance(earlier, dict) else None
        if name in values or value is None:
            raise InvalidRequestError(
                f"Invalid type for '{name}': it was sent in two forms.",
                param=name,
                code="invalid_type",
            )
        values[name] = value
    return values


_Fields = list[tuple[str, list[str]]]
_Uploads = list[tuple[str, "list[UploadedFile[Any]]"]]


def parse_form(request: HttpRequest) -> tuple[_Fields, _Uploads]:
    """The form as it came, by Django. Who reads it again gets the same: its files from wherever
    the last reader stopped.

    Raises InvalidRequestError for a form that cannot be read, or RequestDataTooBig.
    """
    # DRF's request would look for parsers, and there are none.
    plain: HttpRequest = getattr(request, "_request", request)
    # First: Django keeps no body that its form parser has read, and with the body here it checks
    # the whole against the limit.
    body = plain.body
    try:
        fields, files = plain.POST, plain.FILES
    except RequestDataTooBig:
        raise
    except (TooManyFieldsSent, TooManyFilesSent):
        raise InvalidRequestError("The form has too many fields or files.") from None
    except (MultiPartParserError, SuspiciousOperation) as exc:
        raise InvalidRequestError(f"The multipart body cannot be read: {exc}") from None
    # Django takes a body that was cut off for one that has ended.
    boundary = str((plain.content_params or {}).get("boundary", ""))
    if b"--%s--" % boundary.encode("ascii", "replace") not in body[-_TAIL_BYTES:]:
        raise InvalidRequestError(
            "The multipart body cannot be read: it has no end. "
            "(HINT: the boundary in the Content-Type header must be the one in the body.)"
        )
    return list(fields.lists()), list(files.lists())


# The last boundary, and whatever a client adds after it.
_TAIL_BYTES = 4096


def _form_file(upload: "UploadedFile[Any]") -> FormFile:
    # It may have been read before.
    upload.seek(0)
    return FormFile(upload.name or "", upload.read(), upload.content_type or "")
