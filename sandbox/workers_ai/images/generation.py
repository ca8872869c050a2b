"""Text to image: the form each family takes and gives, around a drawing that is no model's."""

import asyncio
import base64
import random
from dataclasses import dataclass
from typing import Any

from sandbox.workers_ai.bodies import Body
from sandbox.workers_ai.errors import BadInputError, InvalidInputError
from sandbox.workers_ai.fields import Fields
from sandbox.workers_ai.images.drawing import draw
from sandbox.workers_ai.images.headers import read_header
from sandbox.workers_ai.images.prices import Size, quantities
from sandbox.workers_ai.one_piece import Call, Outcome
from sandbox.workers_ai.script import without_directive

DRAWING_FINGERPRINT = "sandbox-drawing"

MAX_SEED = 2**63 - 1
MAX_INPUT_IMAGES = 4
# Input images have to be smaller than this.
INPUT_IMAGE_PX = 512


@dataclass(frozen=True, kw_only=True)
class Family:
    """What the pictures of one model are like.

    size: when the call names none; sizes: the least and the most per side, None if fixed.
    steps_keys: the fields that set the steps; steps: their default, steps_most their limit.
    guidance: its range.
    form: of the file; is_base64: in JSON, otherwise the bytes themselves.
    """

    size: Size
    sizes: tuple[int, int] | None
    steps: int
    steps_most: int
    steps_keys: tuple[str, ...] = ("num_steps", "steps")
    guidance: tuple[float, float] = (0, 100)
    form: str = "jpeg"
    is_base64: bool = True
    is_multipart: bool = False
    sends_neurons: bool = True


# The first part of the id that matches decides.
FAMILIES: tuple[tuple[str, Family], ...] = (
    (
        "flux-1-schnell",
        Family(size=(1024, 1024), sizes=None, steps=4, steps_most=8, steps_keys=("steps",)),
    ),
    (
        "flux-2-dev",
        Family(
            size=(1024, 768),
            sizes=(256, 1920),
            steps=50,
            steps_most=50,
            steps_keys=("steps",),
            is_multipart=True,
        ),
    ),
    (
        "flux-2-klein",
        Family(
            size=(1024, 768),
            sizes=(256, 1920),
            steps=4,
            steps_most=4,
            steps_keys=(),
            is_multipart=True,
        ),
    ),
    (
        "lucid-origin",
        Family(size=(1120, 1120), sizes=(1, 2500), steps=15, steps_most=40, guidance=(0, 10)),
    ),
    (
        "phoenix",
        Family(
            size=(1024, 1024),
            sizes=(1, 2048),
            steps=25,
            steps_most=50,
            guidance=(2, 10),
            is_base64=False,
            sends_neurons=False,
        ),
    ),
    (
        "lightning",
        Family(size=(1024, 1024), sizes=(256, 2048), steps=20, steps_most=20, is_base64=False),
    ),
    (
        "stable-diffusion-xl",
        Family(
            size=(1024, 1024),
            sizes=(256, 2048),
            steps=20,
            steps_most=20,
            form="png",
            is_base64=False,
        ),
    ),
    (
        "",
        Family(
            size=(512, 512),
            sizes=(256, 2048),
            steps=20,
            steps_most=20,
            form="png",
            is_base64=False,
        ),
    ),
)


def family_of(model_id: str) -> Family:
    return next(family for part, family in FAMILIES if part in model_id)


async def generate_image(call: Call) -> Outcome:
    """A picture. Inpainting comes this way too, with an image and a mask."""
    family = family_of(call.model.id)
    check_form(family, call.body)
    fields = Fields(call.body.fields, is_form=call.body.is_form)
    prompt = fields.text("prompt")
    size = size_of(family, fields)
    steps = steps_of(family, fields)
    seed = fields.whole("seed", 0, MAX_SEED, default=random.getrandbits(32))
    fields.number("guidance", *family.guidance, default=7.5)
    fields.number("strength", 0, 1, default=1)
    check_source_images(call, fields)
    fields.refuse_wrong()
    inputs = input_sizes(call.body.files)

    shown = without_directive(prompt)
    drawn = await asyncio.to_thread(draw, shown, seed, *size, form=family.form)
    neurons = call.neurons(quantities(call.model, size, steps, inputs))
    if not family.sends_neurons and "neurons" not in call.directive.usage:
        neurons = None
    if family.is_base64:
        result: dict[str, Any] = {"image": base64.b64encode(drawn).decode()}
        return Outcome(source=DRAWING_FINGERPRINT, result=result, neurons=neurons)
    return Outcome(
        source=DRAWING_FINGERPRINT,
        content=drawn,
        content_type=f"image/{family.form}",
        neurons=neurons,
    )


def check_form(family: Family, body: Body) -> None:
    """Raises BadInputError for JSON where a form is wanted, and the other way round."""
    if family.is_multipart and not body.is_form:
        raise BadInputError("required properties at '/' are 'multipart'")
    if not family.is_multipart and (body.is_form or body.is_raw):
        raise BadInputError("the body is not valid JSON")


def size_of(family: Family, fields: Fields) -> Size:
    width, height = family.size
    if family.sizes is None:
        for key in ("width", "height"):
            if key in fields.raw:
                fields.violations.found.append(f"additional property '{key}' at '/' is not allowed")
        return family.size
    low, high = family.sizes
    return (
        fields.whole("width", low, high, default=width),
        fields.whole("height", low, high, default=height),
    )


def steps_of(family: Family, fields: Fields) -> int:
    steps = family.steps
    for key in family.steps_keys:
        steps = fields.whole(key, 1, family.steps_most, default=steps)
    return steps


def check_source_images(call: Call, fields: Fields) -> None:
    """The picture to start from and the mask, as lists of bytes or (the picture) base64."""
    if call.model.kind == "inpainting":
        if not fields.has("image_b64"):
            fields.require("image")
        fields.require("mask")
    for key in ("image", "mask"):
        if fields.has(key):
            fields.byte_list(key)
    if fields.has("image_b64"):
        fields.base64("image_b64")


def input_sizes(files: dict[str, bytes]) -> list[Size]:
    """The sizes of `input_image_0` and so on.

    Raises InvalidInputError for what is no image, or one not below 512 x 512.
    """
    sizes = []
    for number in range(MAX_INPUT_IMAGES):
        image = files.get(f"input_image_{number}")
        if image is None:
            continue
        header = read_header(image)
        if header is None:
            raise InvalidInputError(f"input_image_{number} is not an image")
        size = header.size or (1, 1)
        if max(size) >= INPUT_IMAGE_PX:
            raise InvalidInputError(
                f"input_image_{number} must be smaller than {INPUT_IMAGE_PX}x{INPUT_IMAGE_PX}"
            )
        sizes.append(size)
    return sizes
