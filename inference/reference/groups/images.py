"""Pictures, and labels for them."""

from inference.images.params import (
    FormClassificationParams,
    FormEditParams,
    GenerationParams,
    JsonClassificationParams,
    JsonEditParams,
)
from inference.reference.answers.media import ImageLabels, ImagesAnswer
from inference.reference.groups.common import FORM, JSON, calls_a_model, path_parameter
from inference.reference.operation import Body, Content, Example, Operation
from inference.reference.refusals import ANYBODY, NO_SUCH_IMAGE

_PIXEL = (
    "data:image/png;base64,iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGA"
    "WjR9awAAAABJRU5ErkJggg=="
)
_SAVE_PYTHON = """\
import base64

with open("picture.png", "wb") as file:
    file.write(base64.b64decode(answer.data[0].b64_json))"""
_SAVE_JAVASCRIPT = """\
import { writeFileSync } from "node:fs";

writeFileSync("picture.png", Buffer.from(answer.data[0].b64_json, "base64"));"""
_IMAGE = "PNG, JPEG, GIF or WebP."

OPERATIONS = (
    calls_a_model(
        path="/v1/images/generations",
        id="createImage",
        tag="Images",
        summary="Make pictures",
        description="Pictures from words. `n` pictures are so many calls; when one of them fails, "
        "nothing is charged. What a model cannot do (a size, steps) is refused before anything "
        "is held, with what it can.",
        bodies={JSON: Body(GenerationParams)},
        answers={JSON: Content((ImagesAnswer,))},
        examples=(
            Example(
                "A bicycle",
                {"model": "flux-1-schnell", "prompt": "a red bicycle", "output_format": "png"},
                extra={"steps": 4, "seed": 42},
                call="images.generate",
                python=_SAVE_PYTHON,
                javascript=_SAVE_JAVASCRIPT,
            ),
        ),
    ),
    calls_a_model(
        path="/v1/images/edits",
        id="createImageEdit",
        tag="Images",
        summary="Change pictures",
        description="Pictures from pictures: a form with files, or JSON with images by URL. A "
        "mask is of the image's size; what is fully transparent in it is made anew.",
        bodies={
            FORM: Body(
                FormEditParams,
                files={
                    "image": f"{_IMAGE} Repeat the part for several, as `image` or `image[]`.",
                    "mask": f"{_IMAGE} For inpainting models.",
                },
                required_files=("image",),
            ),
            JSON: Body(JsonEditParams),
        },
        answers={JSON: Content((ImagesAnswer,))},
        examples=(
            Example(
                "Another colour",
                {
                    "model": "flux-2-klein-4b",
                    "prompt": "make the bicycle blue",
                    "output_format": "png",
                },
                files={"image": "picture.png"},
                call="images.edit",
                python=_SAVE_PYTHON,
                javascript=_SAVE_JAVASCRIPT,
            ),
        ),
    ),
    calls_a_model(
        path="/v1/images/classifications",
        id="createImageClassification",
        tag="Images",
        summary="Label an image",
        description="Labels for an image, each with a score: a form with a file, or JSON with a "
        "URL.",
        bodies={
            FORM: Body(
                FormClassificationParams, files={"image": _IMAGE}, required_files=("image",)
            ),
            JSON: Body(JsonClassificationParams),
        },
        answers={JSON: Content((ImageLabels,))},
        examples=(
            Example("An image in the request", {"model": "resnet-50", "image": _PIXEL, "top_k": 2}),
        ),
    ),
    Operation(
        method="get",
        path="/v1/images/files/{token}",
        id="getImageFile",
        tag="Images",
        summary="Fetch a picture",
        description='A picture by the URL that `response_format: "url"` gave, for an hour. It '
        "takes no API key: whoever has the URL sees the picture.",
        parameters=(path_parameter("token", "As in the picture's URL.", "mVnXy2…"),),
        answers={
            name: Content(when="The picture.")
            for name in ("image/png", "image/jpeg", "image/webp", "image/gif")
        },
        refusals=(NO_SUCH_IMAGE, *ANYBODY),
        is_public=True,
    ),
)
