"""What stands before an image's pixels, walked through in a bounded number of steps.

Pillow reads all of it in Python, piece by piece: in a file of some megabytes a stranger can put
millions of pieces, and keep a worker busy for minutes.
"""

from inference.images.formats import GIF, JPEG, PNG, media_type_of

Size = tuple[int, int]
# Cameras and editors write some hundreds.
_MOST_PIECES = 50_000
# Markers of JPEG without anything behind them, and those that tell the size.
_BARE = {0x01, *range(0xD0, 0xD9)}
_FRAMES = {*range(0xC0, 0xD0)} - {0xC4, 0xC8, 0xCC}
_SCAN = 0xDA


class TooManyPiecesError(ValueError):
    """No image that anybody has made to be seen."""


def size_in_header(content: bytes) -> Size | None:
    """Width and height. None where they are not found: Pillow may know.

    Raises TooManyPiecesError.
    """
    match media_type_of(content):
        case _ as kind if kind == PNG:
            return _png_size(content)
        case _ as kind if kind == JPEG:
            return _jpeg_size(content)
        case _ as kind if kind == GIF:
            return _gif_size(content)
    return None


def _png_size(content: bytes) -> Size | None:
    """To the last chunk: Pillow goes from one to the next in the pixels, too."""
    at = 8
    for _ in range(_MOST_PIECES):
        if at + 8 > len(content):
            if content[12:16] != b"IHDR" or len(content) < 24:
                return None
            return int.from_bytes(content[16:20], "big"), int.from_bytes(content[20:24], "big")
        at += 12 + int.from_bytes(content[at : at + 4], "big")
    raise TooManyPiecesError


def _jpeg_size(content: bytes) -> Size | None:
    """To the pixels. Of several sizes the last one, as Pillow takes it."""
    size: Size | None = None
    at = 2
    for _ in range(_MOST_PIECES):
        at = content.find(b"\xff", at)
        if at < 0 or at + 4 > len(content):
            return size
        marker = content[at + 1]
        if marker == _SCAN:
            return size
        if marker in (0x00, 0xFF) or marker in _BARE:
            at += 1 if marker == 0xFF else 2
            continue
        if marker in _FRAMES:
            height, width = content[at + 5 : at + 7], content[at + 7 : at + 9]
            size = int.from_bytes(width, "big"), int.from_bytes(height, "big")
        at += 2 + int.from_bytes(content[at + 2 : at + 4], "big")
    raise TooManyPiecesError


def _gif_size(content: bytes) -> Size | None:
    """To the first picture; its frame is as large as the header says."""
    at = 13 + (3 << (content[10] & 7) + 1 if len(content) > 10 and content[10] & 0x80 else 0)
    steps = 0
    while at + 2 < len(content) and content[at] == 0x21:
        at += 2
        while at < len(content) and (length := content[at]):
            at += 1 + length
            steps += 1
            if steps > _MOST_PIECES:
                raise TooManyPiecesError
        at += 1
        steps += 1
    return None
