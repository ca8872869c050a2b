"""An image's size, from its header alone: nothing is decoded."""

import io
from typing import Final

from PIL import GifImagePlugin, Image, JpegImagePlugin, PngImagePlugin, WebPImagePlugin

from inference.images.headers import TooManyPiecesError, size_in_header

# Loaded by their import: no other format is looked for in what strangers send.
FORMATS: Final = tuple(
    plugin.format
    for plugin in (
        PngImagePlugin.PngImageFile,
        JpegImagePlugin.JpegImageFile,
        GifImagePlugin.GifImageFile,
        WebPImagePlugin.WebPImageFile,
    )
)


class NotAnImageError(ValueError):
    """These bytes are no image that we can read."""


def open_image(content: bytes) -> Image.Image:
    """Its header read, and no pixel of it. Raises NotAnImageError."""
    _header_size(content)
    try:
        return Image.open(io.BytesIO(content), formats=FORMATS)
    # Pillow's readers raise whatever they stumble over.
    except Exception as exc:
        raise NotAnImageError(f"{type(exc).__name__}: {exc}") from exc


def size_of(content: bytes) -> tuple[int, int] | None:
    """Width and height. None for what cannot be read."""
    try:
        if (size := _header_size(content)) is not None:
            return size
        with open_image(content) as image:
            return image.size
    except NotAnImageError:
        return None


def _header_size(content: bytes) -> tuple[int, int] | None:
    try:
        return size_in_header(content)
    except TooManyPiecesError:
        raise NotAnImageError("it has too many parts") from None
