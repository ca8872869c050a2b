"""What is done to pictures themselves: other formats, smaller sizes, masks.

Pillow lets go of the interpreter lock while it works, so all of it runs off the gevent loop, and
few of a process at a time: each picture takes its pixels' size in memory.
"""

import io
import threading
from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar

from PIL import Image, ImageChops, ImageOps

from agentflare.concurrency import off_loop
from inference.images.families import MAX_INPUT_IMAGE_PX, Size
from inference.images.formats import JPEG, PNG, WEBP
from inference.images.sizes import NotAnImageError, open_image

Result = TypeVar("Result")

# A file of some kilobytes can claim any size: what it would fill in memory is limited.
MAX_PIXELS = 4096 * 4096
# JPEG can be read at an eighth of its size.
_MAX_JPEG_PIXELS = 50_000_000
_AT_ONCE = threading.BoundedSemaphore(2)

# What Stable Diffusion 1.5 was made for is 512; much larger pictures fall apart in it.
_MAX_INPAINTING_PX = 1024
_INPAINTING_STEP_PX = 8
_MIN_INPAINTING_PX = 256

_FORMATS = {"png": "PNG", "jpeg": "JPEG", "webp": "WEBP"}
MEDIA_TYPES_BY_FORMAT = {"png": PNG, "jpeg": JPEG, "webp": WEBP}
_DEFAULT_JPEG_QUALITY = 95
_EXIF_ORIENTATION = 0x0112


def at_work(work: Callable[[], Result]) -> Result:
    """Do it off the loop, after those that came before."""
    with _AT_ONCE:
        return off_loop(work)


# --- what comes back ----------------------------------------------------------------


def convert(content: bytes, output_format: str, *, compression: int | None) -> bytes:
    """As "png", "jpeg" or "webp". compression: OpenAI's 0 to 100, for the last two.

    Raises NotAnImageError.
    """
    return at_work(lambda: _convert(content, output_format, compression))


def _convert(content: bytes, output_format: str, compression: int | None) -> bytes:
    image = _decoded(content)
    if output_format == "jpeg":
        # 0 would be Pillow's default.
        quality = _DEFAULT_JPEG_QUALITY if compression is None else max(1, compression)
        return _saved(_opaque(image), "JPEG", quality=quality)
    if output_format == "webp":
        quality = 100 if compression is None else compression
        return _saved(_coloured(image), "WEBP", quality=quality)
    return _saved(_coloured(image), "PNG")


# --- what goes in -------------------------------------------------------------------


def as_reference(content: bytes, media_type: str) -> tuple[bytes, str]:
    """An image as FLUX.2 takes it, and its media type. Raises NotAnImageError."""
    return at_work(lambda: _as_reference(content, media_type))


def _as_reference(content: bytes, media_type: str) -> tuple[bytes, str]:
    limit = (MAX_INPUT_IMAGE_PX, MAX_INPUT_IMAGE_PX)
    with open_image(content) as unread:
        fits = max(unread.size) <= MAX_INPUT_IMAGE_PX
    image = _decoded(content, enough=limit)
    if fits and media_type in (PNG, JPEG) and not _was_turned(content):
        return content, media_type
    image = _coloured(image)
    image.thumbnail(limit, Image.Resampling.LANCZOS)
    return _saved(image, "PNG"), PNG


def _was_turned(content: bytes) -> bool:
    """Cameras note which way is up, and models do not read it."""
    with open_image(content) as image:
        return bool(image.getexif().get(_EXIF_ORIENTATION, 1) != 1)


@dataclass(frozen=True, slots=True)
class MaskedImage:
    """An image and what to edit of it, white on black, both PNG and of one size.

    size: of the picture to make, as the model takes sizes.
    """

    image: bytes
    mask: bytes
    size: Size


class MaskError(ValueError):
    """Why a mask cannot be used, as a sentence."""


def masked(content: bytes, mask: bytes | None) -> MaskedImage:
    """As the inpainting model takes it, from OpenAI's: transparent is what to edit.

    mask: None takes the image's own transparent parts.
    Raises NotAnImageError for the image, MaskError for the mask.
    """
    return at_work(lambda: _masked(content, mask))


def _masked(content: bytes, mask_content: bytes | None) -> MaskedImage:
    image = _decoded(content)
    if mask_content is None:
        mask = _transparent_parts(image)
        if mask is None:
            raise MaskError(
                "It takes an image and a mask: a PNG of the same size, whose fully transparent "
                "parts are edited. Without one the image must have such parts itself."
            )
    else:
        mask = _read_mask(mask_content, image.size)
    image = _opaque(image)
    limit = (_MAX_INPAINTING_PX, _MAX_INPAINTING_PX)
    image.thumbnail(limit, Image.Resampling.LANCZOS)
    # Its edges stay sharp: what is not marked is not to change.
    mask = mask.resize(image.size, Image.Resampling.NEAREST)
    size = _inpainting_side(image.width), _inpainting_side(image.height)
    return MaskedImage(_saved(image, "PNG"), _saved(mask, "PNG"), size)


def _read_mask(content: bytes, size: Size) -> Image.Image:
    try:
        image = _decoded(content)
    except NotAnImageError as exc:
        raise MaskError(f"The mask cannot be read as an image: {exc}.") from exc
    if image.size != size:
        raise MaskError(
            f"The mask must have the image's size, {size[0]}x{size[1]}, "
            f"and has {image.width}x{image.height}."
        )
    mask = _transparent_parts(image)
    if mask is None:
        raise MaskError(
            "The mask has no transparent part: its fully transparent pixels are what is edited."
        )
    return mask


def _transparent_parts(image: Image.Image) -> Image.Image | None:
    """White where the image is fully transparent, black elsewhere. None: nowhere."""
    if not image.has_transparency_data:
        return None
    alpha = image.convert("RGBA").getchannel("A")
    mask = ImageChops.invert(alpha.point(lambda value: 255 if value else 0))
    return mask if mask.getbbox() else None


def _inpainting_side(pixels: int) -> int:
    return max(_MIN_INPAINTING_PX, pixels - pixels % _INPAINTING_STEP_PX)


# --- with Pillow --------------------------------------------------------------------


def _decoded(content: bytes, *, enough: Size | None = None) -> Image.Image:
    """All pixels, the right way up. enough: a size that JPEG may be read at, or a bit above.

    Raises NotAnImageError.
    """
    image = open_image(content)
    try:
        if image.format == "JPEG" and enough and _pixels(image) <= _MAX_JPEG_PIXELS:
            image.draft(None, enough)
        if _pixels(image) > MAX_PIXELS:
            raise NotAnImageError(
                f"it has {image.width}x{image.height} pixels, more than can be worked on"
            )
        image.load()
        return ImageOps.exif_transpose(image)
    except NotAnImageError:
        raise
    # Pillow's readers raise whatever they stumble over.
    except Exception as exc:
        raise NotAnImageError(f"{type(exc).__name__}: {exc}") from exc


def _pixels(image: Image.Image) -> int:
    return image.width * image.height


def _coloured(image: Image.Image) -> Image.Image:
    """In a mode that all formats but JPEG know."""
    if image.mode in ("RGB", "RGBA", "L"):
        return image
    return image.convert("RGBA" if image.has_transparency_data else "RGB")


def _opaque(image: Image.Image) -> Image.Image:
    """On white where it was transparent."""
    if not image.has_transparency_data:
        return image if image.mode == "RGB" else image.convert("RGB")
    image = image.convert("RGBA")
    ground = Image.new("RGB", image.size, "white")
    ground.paste(image, mask=image.getchannel("A"))
    return ground


def _saved(image: Image.Image, form: str, **options: int) -> bytes:
    file = io.BytesIO()
    image.save(file, form, **options)
    return file.getvalue()
