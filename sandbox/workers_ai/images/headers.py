"""What the header of an image file says: its format and, mostly, its size."""

import struct
from dataclasses import dataclass

# Marks of JPEG's frame headers, which hold the size.
FRAME_MARKERS = (*range(0xC0, 0xC4), *range(0xC5, 0xC8), *range(0xC9, 0xCC), *range(0xCD, 0xD0))


@dataclass(frozen=True)
class ImageHeader:
    """form: "png", "jpeg", "gif" or "webp". size: width and height, if the header tells."""

    form: str
    size: tuple[int, int] | None = None


def read_header(image: bytes) -> ImageHeader | None:
    """None for what is no image."""
    if image.startswith(b"\x89PNG\r\n\x1a\n"):
        size = struct.unpack(">II", image[16:24]) if len(image) >= 24 else None
        return ImageHeader("png", size)
    if image.startswith((b"GIF87a", b"GIF89a")):
        return ImageHeader("gif", struct.unpack("<HH", image[6:10]) if len(image) >= 10 else None)
    if image.startswith(b"\xff\xd8\xff"):
        return ImageHeader("jpeg", jpeg_size(image))
    if image[:4] == b"RIFF" and image[8:12] == b"WEBP":
        return ImageHeader("webp")
    return None


def jpeg_size(image: bytes) -> tuple[int, int] | None:
    at = 2
    while at + 9 <= len(image) and image[at] == 0xFF:
        marker, length = image[at + 1], int.from_bytes(image[at + 2 : at + 4], "big")
        if marker in FRAME_MARKERS:
            height, width = struct.unpack(">HH", image[at + 5 : at + 9])
            return width, height
        at += 2 + length
    return None
