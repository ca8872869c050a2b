"""An image's size, from its header alone: nothing is decoded."""

import io
from typing import Final

from PIL import GifImagePlugin, Image, JpegImagePlugin, PngImagePlugin, WebPImagePlugin

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
_PNG: Final = b"\x89PNG\r\n\x1a\n"


class NotAnImageError(ValueError):
    """These bytes are no image that we can read."""


def open_image(content: bytes) -> Image.Image:
    """Its header read, and no pixel of it. Raises NotAnImageError."""
    try:
        return Image.open(io.BytesIO(content), formats=FORMATS)
    # Pillow's readers raise whatever they stumble over.
    except Exception as exc:
        raise NotAnImageError(f"{type(exc).__name__}: {exc}") from exc


def size_of(content: bytes) -> tuple[int, int] | None:
    """Width and height. None for what cannot be read."""
    if content[:8] == _PNG and content[12:16] == b"IHDR" and len(content) >= 24:
        # At a fixed place. Pillow would walk over all chunks that a stranger puts before the
        # pixels, a million of them if need be.
        return int.from_bytes(content[16:20], "big"), int.from_bytes(content[20:24], "big")
    try:
        with open_image(content) as image:
            return image.size
    except NotAnImageError:
        return None
