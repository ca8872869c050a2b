"""An image behind a URL that a stranger has chosen."""

from collections.abc import Callable
from http.client import HTTPException, HTTPResponse
from urllib.parse import urljoin

from django.conf import settings

from agentflare.outside.request import Deadline, OutsideError, Target, as_outside_error, send
from inference.images.formats import MEDIA_TYPES

_MAX_REDIRECTS = 3
_REDIRECTS = {301, 302, 303, 307, 308}
_PIECE_BYTES = 64 * 1024


def download(url: str, *, deadline: Deadline, max_bytes: int, take: Callable[[int], None]) -> bytes:
    """The body of what the URL leads to, which is announced as an image.

    take: told of each piece's size as it comes; raises OutsideError to end the download.
    Raises OutsideError.
    """
    for _ in range(_MAX_REDIRECTS + 1):
        target = Target.of(url)
        try:
            with send(
                target,
                deadline,
                headers={"Accept": ", ".join(MEDIA_TYPES)},
                allowed=settings.REMOTE_IMAGE_ALLOWED_NETWORKS,
            ) as response:
                # Headers that the deadline has cut off read like the whole of them.
                deadline.left_s()
                if response.status not in _REDIRECTS:
                    return _read(response, deadline, max_bytes, take)
                url = urljoin(target.url, _header(response, "Location"))
        # ValueError: a Location, or a name, that is none.
        except (OSError, HTTPException, ValueError) as exc:
            raise as_outside_error(exc, deadline) from exc
    raise OutsideError(f"more than {_MAX_REDIRECTS} redirects.")


def _read(
    response: HTTPResponse, deadline: Deadline, max_bytes: int, take: Callable[[int], None]
) -> bytes:
    if response.status != 200:
        raise OutsideError(f"the server answered with status {response.status}.")
    media_type = _header(response, "Content-Type").partition(";")[0].strip().lower()
    # Many write it so, though it was never registered.
    if media_type not in (*MEDIA_TYPES, "image/jpg"):
        raise OutsideError("the server does not call it a PNG, JPEG, GIF or WebP image.")
    if _header(response, "Content-Encoding").strip().lower() not in {"", "identity"}:
        raise OutsideError("the server sends it compressed.")
    if (response.length or 0) > max_bytes:
        raise OutsideError(f"it is larger than {max_bytes} bytes.")
    body = bytearray()
    while piece := response.read(_PIECE_BYTES):
        body += piece
        take(len(piece))
        if len(body) > max_bytes:
            raise OutsideError(f"it is larger than {max_bytes} bytes.")
    # A body cut off by the timer looks like one that has ended, where no length was told.
    deadline.left_s()
    if response.length:
        raise OutsideError("the server broke off.")
    return bytes(body)


def _header(response: HTTPResponse, name: str) -> str:
    return response.getheader(name) or ""
