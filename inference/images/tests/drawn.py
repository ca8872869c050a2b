"""Small pictures for tests."""

import base64
import io
import zlib
from typing import Any

from PIL import Image


def drawn(
    width: int = 64,
    height: int = 64,
    *,
    form: str = "PNG",
    mode: str = "RGB",
    colour: Any = "red",
    **options: Any,
) -> bytes:
    return saved(Image.new(mode, (width, height), colour), form=form, **options)


def saved(image: Image.Image, *, form: str = "PNG", **options: Any) -> bytes:
    file = io.BytesIO()
    image.save(file, form, **options)
    return file.getvalue()


def opened(content: bytes) -> Image.Image:
    image = Image.open(io.BytesIO(content))
    image.load()
    return image


def mask(width: int = 64, height: int = 64, *, box: tuple[int, int, int, int]) -> bytes:
    """OpenAI's: opaque but for the box, which is to be edited."""
    image = Image.new("RGBA", (width, height), (10, 20, 30, 255))
    image.paste((0, 0, 0, 0), box)
    return saved(image)


def data_url(content: bytes, media_type: str = "image/png") -> str:
    return f"data:{media_type};base64,{base64.b64encode(content).decode()}"


def bomb() -> bytes:
    """A small file that claims to be 20,000 by 20,000 pixels."""
    content = bytearray(drawn(8, 8))
    content[16:24] = (20_000).to_bytes(4, "big") * 2
    content[29:33] = zlib.crc32(bytes(content[12:29])).to_bytes(4, "big")
    return bytes(content)
