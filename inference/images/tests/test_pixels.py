"""Formats, sizes and masks."""

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from inference.images.pixels import MaskError, as_reference, convert, masked
from inference.images.sizes import NotAnImageError, size_of
from inference.images.tests.drawn import bomb, drawn, mask, opened, saved

MODES = ["RGB", "RGBA", "L", "LA", "P", "1", "CMYK", "I;16"]


@pytest.mark.parametrize("output_format", ["png", "jpeg", "webp"])
@pytest.mark.parametrize("mode", MODES)
def test_any_picture_becomes_the_format_asked_for(mode: str, output_format: str) -> None:
    form = "JPEG" if mode == "CMYK" else "PNG"
    content = drawn(40, 30, mode=mode, colour=1, form=form)

    image = opened(convert(content, output_format, compression=None))

    assert image.format == output_format.upper()
    assert image.size == (40, 30)


def test_what_is_transparent_turns_white_in_jpeg_and_stays_in_the_others() -> None:
    content = drawn(mode="RGBA", colour=(255, 0, 0, 0))

    assert opened(convert(content, "jpeg", compression=None)).getpixel((5, 5)) == (255, 255, 255)
    assert opened(convert(content, "webp", compression=None)).getpixel((5, 5))[3] == 0
    assert opened(convert(content, "png", compression=None)).getpixel((5, 5))[3] == 0


@pytest.mark.parametrize("output_format", ["jpeg", "webp"])
def test_compression_makes_it_smaller(output_format: str) -> None:
    content = saved(Image.effect_noise((200, 200), 90))

    sizes = [len(convert(content, output_format, compression=level)) for level in (0, 50, 100)]

    assert sizes == sorted(sizes)
    assert sizes[0] < sizes[1] < sizes[2]


@pytest.mark.parametrize("content", [b"", b"no image", drawn(300, 300)[:-60], bomb()])
def test_what_cannot_be_read_is_told(content: bytes) -> None:
    with pytest.raises(NotAnImageError):
        convert(content, "png", compression=None)
    with pytest.raises(NotAnImageError):
        as_reference(content, "image/png")
    with pytest.raises(NotAnImageError):
        masked(content, None)


def test_no_other_format_is_looked_for() -> None:
    assert size_of(drawn(form="TIFF")) is None
    assert size_of(drawn(form="BMP")) is None
    assert size_of(b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n") is None


# --- references ---------------------------------------------------------------------


@pytest.mark.parametrize(
    ("size", "expected"),
    [((2000, 1000), (511, 256)), ((512, 512), (511, 511)), ((100, 900), (57, 511))],
)
def test_a_large_reference_is_made_smaller_and_keeps_its_form(
    size: tuple[int, int], expected: tuple[int, int]
) -> None:
    for form in ("PNG", "JPEG", "WEBP"):
        content, media_type = as_reference(drawn(*size, form=form), f"image/{form.lower()}")

        assert (opened(content).size, media_type) == (expected, "image/png")


def test_a_small_one_is_left_as_it_is() -> None:
    content = drawn(500, 400, form="JPEG")

    assert as_reference(content, "image/jpeg") == (content, "image/jpeg")


def test_a_format_that_models_may_not_know_becomes_png() -> None:
    content, media_type = as_reference(drawn(50, 40, form="GIF"), "image/gif")

    assert (opened(content).format, media_type) == ("PNG", "image/png")


def test_a_photo_taken_upright_stays_upright() -> None:
    exif = Image.Exif()
    exif[0x0112] = 6

    content, _ = as_reference(drawn(60, 40, form="JPEG", exif=exif), "image/jpeg")

    assert opened(content).size == (40, 60)


def test_a_photo_of_many_megapixels_is_read_at_a_part_of_its_size() -> None:
    content, _ = as_reference(drawn(6000, 4500, form="JPEG"), "image/jpeg")

    assert opened(content).size == (511, 384)


# --- masks --------------------------------------------------------------------------


def colours(content: bytes, *points: tuple[int, int]) -> list[Any]:
    image = opened(content)
    assert image.mode == "L"
    return [image.getpixel(point) for point in points]


def test_what_is_transparent_becomes_white_which_is_edited() -> None:
    ready = masked(drawn(), mask(box=(0, 0, 32, 64)))

    assert colours(ready.mask, (5, 5), (31, 60), (32, 60), (60, 5)) == [255, 255, 0, 0]
    assert ready.size == (256, 256)


def test_what_is_half_transparent_is_kept() -> None:
    half = Image.new("RGBA", (64, 64), (0, 0, 0, 128))
    half.paste((0, 0, 0, 0), (0, 0, 10, 10))

    ready = masked(drawn(), saved(half))

    assert colours(ready.mask, (5, 5), (30, 30)) == [255, 0]


def test_the_images_own_transparent_parts_are_the_mask_where_there_is_none() -> None:
    ready = masked(mask(box=(0, 0, 10, 10)), None)

    assert colours(ready.mask, (5, 5), (30, 30)) == [255, 0]
    assert opened(ready.image).mode == "RGB"


@pytest.mark.parametrize(
    ("mask_content", "why"),
    [
        (drawn(), "no transparent part"),
        (drawn(mode="L", colour=0), "no transparent part"),
        (drawn(mode="RGBA", colour=(0, 0, 0, 255)), "no transparent part"),
        (drawn(64, 65, mode="RGBA", colour=(0, 0, 0, 0)), "64x64, and has 64x65"),
        (b"nothing", "cannot be read"),
        (bomb(), "cannot be read"),
    ],
)
def test_a_mask_that_says_nothing_is_refused(mask_content: bytes, why: str) -> None:
    with pytest.raises(MaskError, match=why):
        masked(drawn(), mask_content)


def test_an_opaque_image_without_a_mask_is_refused() -> None:
    with pytest.raises(MaskError, match="It takes an image and a mask"):
        masked(drawn(), None)


def test_a_large_image_and_its_mask_are_made_smaller_together() -> None:
    ready = masked(drawn(3000, 1500), mask(3000, 1500, box=(0, 0, 1500, 1500)))

    assert opened(ready.image).size == opened(ready.mask).size == (1024, 512)
    assert colours(ready.mask, (500, 5), (520, 5)) == [255, 0]
    assert ready.size == (1024, 512)


@pytest.mark.slow
def test_a_web_worker_goes_on_meanwhile() -> None:
    script = Path(__file__).with_name("pixels_under_gevent.py")

    done = subprocess.run([sys.executable, script], capture_output=True, text=True, timeout=60)

    assert done.returncode == 0, done.stderr
