"""Text files that travel in an item: a model reads what is in them."""

import base64
import binascii
from collections.abc import Mapping
from typing import Any

from agentflare.errors import InvalidRequestError, UnsupportedParamError

MAX_FILE_BYTES = 1024 * 1024
_TEXTS = ("text/",)
_ALSO_TEXT = {
    "application/json",
    "application/xml",
    "application/yaml",
    "application/x-yaml",
    "application/javascript",
    "application/sql",
    "application/csv",
}


def text_of_file(part: Mapping[str, Any]) -> str:
    """What a model reads of an `input_file` that `check_file` let pass."""
    name = part.get("filename") or "file"
    return f"<file name={name!r}>\n{_decoded(part['file_data'], param='file_data')}\n</file>"


def check_file(part: Any, *, param: str) -> None:
    """part: an InputFile. Raises InvalidRequestError or UnsupportedParamError."""
    if part.file_url is not None:
        raise UnsupportedParamError(
            "Files are not fetched: send the text itself as 'file_data'.",
            param=f"{param}.file_url",
        )
    if part.file_data is None:
        raise InvalidRequestError(
            f"Missing required parameter: '{param}.file_data'.",
            param=f"{param}.file_data",
            code="missing_required_parameter",
        )
    _decoded(part.file_data, param=f"{param}.file_data")


def _decoded(data_url: str, *, param: str) -> str:
    head, comma, body = data_url.partition(",")
    media_type = head.removeprefix("data:").partition(";")[0].lower()
    if not comma or not head.startswith("data:") or not head.endswith(";base64"):
        raise InvalidRequestError(
            f"Invalid value for '{param}': it takes a data URL in base64, as in "
            "data:text/plain;base64,…",
            param=param,
            code="invalid_value",
        )
    if not media_type.startswith(_TEXTS) and media_type not in _ALSO_TEXT:
        raise UnsupportedParamError(
            f"Files of the type {media_type or '(none)'!r} are not read here: send text, or "
            "pictures as 'input_image'.",
            param=param,
        )
    try:
        content = base64.b64decode(body, validate=True)
        text = content.decode()
    except (binascii.Error, ValueError):
        raise InvalidRequestError(
            f"Invalid value for '{param}': it is no text in UTF-8, encoded in base64.",
            param=param,
            code="invalid_value",
        ) from None
    if len(content) > MAX_FILE_BYTES:
        raise InvalidRequestError(
            f"Invalid value for '{param}': a file has at most {MAX_FILE_BYTES} bytes, this one "
            f"{len(content)}.",
            param=param,
            code="string_above_max_length",
        )
    return text
