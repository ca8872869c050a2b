"""What stands before an image's pixels: Pillow's size, whatever a stranger puts there."""

import io
import time
from collections.abc import Callable

import pytest
from PIL import Image

from inference.images.headers import size_in_header
from inference.images.pixels import as_reference
from inference.images.sizes import NotAnImageError, open_image, size_of

MIB = 1024 * 1024


def saved(form: str, **options: object) -> bytes:
    file = io.BytesIO()
    Image.new("RGB", (48, 32), "red").save(file, form, **options)
    return file.getvalue()


FILES = {
    "png": saved("PNG"),
    "jpeg": saved("JPEG"),
    "progressive jpeg": saved("JPEG", progressive=True, exif=b"Exif\0\0" + bytes(2_000)),
    "gif": saved("GIF", comment=b"x" * 2_000),
    "webp": saved("WEBP"),
}


@pytest.mark.parametrize("name", FILES)
def test_as_pillow_sees_it(name: str) -> None:
    assert size_of(FILES[name]) == (48, 32)
    with open_image(FILES[name]) as image:
        assert image.size == (48, 32)
    if "jpeg" in name or name == "png":
        assert size_in_header(FILES[name]) == (48, 32)


@pytest.mark.parametrize(
    "make",
    [
        pytest.param(lambda: b"\xff\xd8" + b"\xff\xe0\0\x02" * (6 * MIB), id="jpeg"),
        pytest.param(lambda: b"\xff\xd8" + b"\xff" * (25 * MIB), id="jpeg of fillers"),
        pytest.param(lambda: b"\xff\xd8\xff" + b"\xff\xd0" * (12 * MIB), id="jpeg of restarts"),
        pytest.param(
            lambda: FILES["png"][:33] + b"\0\0\0\0teXt\0\0\0\0" * (2 * MIB) + FILES["png"][33:],
            id="png",
        ),
        pytest.param(
            lambda: (
                FILES["png"][:33] + b"\0\0\0\0IDAT\x35\xaf\x06\x1e" * (2 * MIB) + FILES["png"][33:]
            ),
            id="png of empty pixels",
        ),
        pytest.param(
            lambda: b"GIF89a" + bytes(7) + b"\x21\xfe" + b"\x01x" * (12 * MIB) + b"\0",
            id="gif of bytes",
        ),
        pytest.param(
            lambda: b"GIF89a" + bytes(7) + b"\x21\xfe\x01x\0" * (5 * MIB), id="gif of comments"
        ),
    ],
)
def test_millions_of_parts_are_no_image(make: Callable[[], bytes]) -> None:
    content = make()
    started = time.process_time()

    assert size_of(content) is None
    with pytest.raises(NotAnImageError, match="too many parts"):
        as_reference(content, "image/png")
    assert time.process_time() - started < 1
