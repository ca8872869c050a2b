"""Pictures out of upstream's answers, and OpenAI's object around them."""

import base64
import binascii
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from inference.images.formats import GIF, JPEG, PNG, WEBP, media_type_of
from inference.images.params import PictureParams
from inference.images.pixels import MEDIA_TYPES_BY_FORMAT, convert
from inference.images.sizes import NotAnImageError, size_of
from inference.upstreams.failures import UpstreamCallError

# Encoders may add a few bytes after the end.
_TAIL_BYTES = 64
# OpenAI's schema wants them; no model here counts its pictures in tokens.
_NO_TOKENS = {
    "input_tokens": 0,
    "input_tokens_details": {"image_tokens": 0, "text_tokens": 0},
    "output_tokens": 0,
    "total_tokens": 0,
}


@dataclass(frozen=True, slots=True)
class Picture:
    content: bytes
    media_type: str

    @property
    def format(self) -> str:
        return self.media_type.removeprefix("image/")

    def as_base64(self) -> str:
        return base64.b64encode(self.content).decode()


def picture_from(content: bytes, params: PictureParams) -> Picture:
    """In the format asked for: what cannot be read is not paid for.

    Raises UpstreamCallError for bytes that are no picture, or half of one.
    """
    media_type = media_type_of(content)
    if media_type is None or not is_whole(content, media_type):
        raise UpstreamCallError.unreadable("what came is no whole picture")
    wanted = params.output_format
    is_as_wanted = wanted is None or MEDIA_TYPES_BY_FORMAT[wanted] == media_type
    if wanted is None or (is_as_wanted and params.output_compression is None):
        return Picture(content, media_type)
    try:
        converted = convert(content, wanted, compression=params.output_compression)
    except NotAnImageError as exc:
        raise UpstreamCallError.unreadable(f"the picture cannot be read: {exc}") from exc
    return Picture(converted, MEDIA_TYPES_BY_FORMAT[wanted])


def content_in(result: Any) -> bytes:
    """The picture in a JSON answer, Workers AI's or OpenAI's. Raises UpstreamCallError."""
    text = result.get("image")
    if text is None and isinstance(data := result.get("data"), list) and data:
        text = data[0].get("b64_json")
    if not isinstance(text, str):
        raise UpstreamCallError.unreadable("no picture in the answer")
    try:
        return base64.b64decode(text.partition(",")[2] or text, validate=True)
    except binascii.Error:
        raise UpstreamCallError.unreadable("the picture is not base64") from None


def is_whole(content: bytes, media_type: str) -> bool:
    """Whether it has its end: an answer may be cut off where HTTP does not notice."""
    tail = content[-_TAIL_BYTES:]
    match media_type:
        case _ if media_type == PNG:
            return b"IEND" in tail
        case _ if media_type == JPEG:
            return b"\xff\xd9" in tail
        case _ if media_type == GIF:
            return b";" in tail
        case _ if media_type == WEBP:
            return int.from_bytes(content[4:8], "little") + 8 <= len(content)
    return False


def images_response(
    pictures: Sequence[Picture],
    params: PictureParams,
    *,
    created: int,
    data: Sequence[Mapping[str, str]],
    usage: Mapping[str, Any],
) -> dict[str, Any]:
    """OpenAI's object; size and format are those of the pictures, whatever was asked for.

    usage: what was counted, and the money.
    """
    first = pictures[0]
    body: dict[str, Any] = {
        "created": created,
        "data": data,
        "output_format": first.format,
        "usage": {**_NO_TOKENS, **usage},
    }
    if size := size_of(first.content):
        body["size"] = f"{size[0]}x{size[1]}"
    if params.background is not None:
        body["background"] = "opaque"
    return body
