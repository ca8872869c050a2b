"""The images of a request: files of a form, data URLs, or URLs that we fetch."""

import base64
import binascii
from collections.abc import Sequence
from dataclasses import dataclass

from agentflare.errors import InvalidRequestError
from agentflare.multipart import FormFile
from inference.images.formats import media_type_of
from inference.images.remote import fetch_for

_REMOTE = ("http://", "https://")
_DATA = "data:"


@dataclass(frozen=True, slots=True)
class InputImage:
    """param: its name in the request. media_type: what it is, whatever it is called."""

    content: bytes
    media_type: str
    param: str


def from_files(files: Sequence[FormFile], *, param: str) -> list[InputImage]:
    """Raises InvalidRequestError for a file that is no image."""
    names = _names(param, len(files))
    return [_image(file.content, param=name) for file, name in zip(files, names, strict=True)]


def from_urls(wanted: Sequence[tuple[str, str]], *, tenant_code: str) -> list[InputImage]:
    """(URL or data URL, name of its parameter) each, in order.

    Raises InvalidRequestError for what is neither, cannot be fetched, or is no image.
    """
    for url, param in wanted:
        if not url.lower().startswith((_DATA, *_REMOTE)):
            raise InvalidRequestError(
                f"Invalid value for '{param}': it must be a data URL or an http(s) URL.",
                param=param,
                code="invalid_image_url",
            )
    remote = [(url, param) for url, param in wanted if url.lower().startswith(_REMOTE)]
    # What is in the request is looked at before anybody else is asked.
    found = {
        param: _from_data_url(url, param) for url, param in wanted if (url, param) not in remote
    }
    for (_, param), image in zip(remote, fetch_for(tenant_code, remote), strict=True):
        found[param] = InputImage(image.content, image.media_type, param)
    return [found[param] for _, param in wanted]


def _from_data_url(url: str, param: str) -> InputImage:
    head, comma, data = url.partition(",")
    if not comma or not head.lower().endswith(";base64"):
        raise InvalidRequestError(
            f"Invalid value for '{param}': the data URL must be base64, as in "
            "data:image/png;base64,….",
            param=param,
            code="invalid_image_url",
        )
    try:
        content = base64.b64decode(data, validate=True)
    except (binascii.Error, ValueError):
        raise InvalidRequestError(
            f"Invalid value for '{param}': it is not valid base64.",
            param=param,
            code="invalid_base64",
        ) from None
    return _image(content, param=param)


def _image(content: bytes, *, param: str) -> InputImage:
    media_type = media_type_of(content)
    if media_type is None:
        raise unreadable(param)
    return InputImage(content, media_type, param)


def unreadable(param: str, why: str = "") -> InvalidRequestError:
    return InvalidRequestError(
        f"Invalid value for '{param}': it is no PNG, JPEG, GIF or WebP image that can be "
        f"read{': ' + why if why else ''}.",
        param=param,
        code="invalid_image",
    )


def _names(param: str, count: int) -> list[str]:
    return [param] if count == 1 else [f"{param}[{number}]" for number in range(count)]
