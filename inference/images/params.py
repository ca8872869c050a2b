"""The bodies of POST /v1/images/generations and /v1/images/edits: OpenAI's parameters, checked.

Some that clients send by habit are accepted and mean nothing here (`quality`, `style`, `user` …);
some that only these models know come through `extra_body` (`steps`, `guidance`, `seed` …).
"""

import re
from typing import Annotated, Literal

from pydantic import ConfigDict, Field, StringConstraints, field_validator

from agentflare.errors import InvalidRequestError, UnsupportedParamError
from inference.images.families import Size
from inference.inputs import IMAGE_URL, ModelName, Params, told
from inference.numbers import WHOLE

MAX_SEED = 2**32 - 1
_SIZE = re.compile(r"([1-9][0-9]{0,4})x([1-9][0-9]{0,4})")
Prompt = Annotated[str, StringConstraints(min_length=1, max_length=32_000)]
Number = Annotated[float, Field(allow_inf_nan=False)]


class PictureParams(Params):
    """What making and editing have in common."""

    model: ModelName
    prompt: Prompt
    n: Annotated[int, Field(ge=1, le=10), WHOLE] | None = None
    size: Annotated[str, told(pattern=rf"^(auto|{_SIZE.pattern})$")] | None = None
    response_format: Literal["url", "b64_json"] | None = None
    output_format: Literal["png", "jpeg", "webp"] | None = None
    output_compression: Annotated[int, Field(ge=0, le=100), WHOLE] | None = None
    background: (
        Annotated[Literal["transparent", "opaque", "auto"], told(enum=["opaque", "auto"])] | None
    ) = None

    # Known to Workers AI's models, not to OpenAI's: sent through `extra_body`.
    steps: Annotated[int, Field(ge=1, le=1000), WHOLE] | None = None
    num_steps: Annotated[int, Field(ge=1, le=1000), WHOLE] | None = None
    guidance: Number | None = None
    seed: Annotated[int, Field(ge=0, le=MAX_SEED), WHOLE] | None = None
    negative_prompt: Annotated[str, StringConstraints(min_length=1, max_length=32_000)] | None = (
        None
    )

    # Accepted, and without meaning here.
    quality: Literal["low", "medium", "high", "xhigh", "max", "auto", "standard", "hd"] | None = (
        None
    )
    user: str | None = None
    safety_identifier: str | None = None

    # Pictures come whole: false and 0 alone.
    stream: Annotated[bool, told(enum=[False])] | None = None
    partial_images: Annotated[int, WHOLE, told(enum=[0])] | None = None
    # Known, and not to be had here: null alone.
    complexity: None = None
    frame_count: None = None
    frame_duration_ms: None = None
    svg: None = None

    @field_validator("size")
    @classmethod
    def _is_size(cls, size: str | None) -> str | None:
        if size not in (None, "auto") and not _SIZE.fullmatch(size):
            raise ValueError("it must be 'auto' or WIDTHxHEIGHT in pixels, such as 1024x1024")
        return size

    @property
    def count(self) -> int:
        return self.n or 1

    @property
    def wanted_size(self) -> Size | None:
        """None: as the model makes it by itself."""
        found = _SIZE.fullmatch(self.size or "")
        return (int(found[1]), int(found[2])) if found else None

    @property
    def wanted_steps(self) -> int | None:
        return self.steps or self.num_steps

    @property
    def steps_param(self) -> str:
        """The name under which the client sent it."""
        return "steps" if self.steps else "num_steps"

    @property
    def wants_url(self) -> bool:
        """Base64 where nothing is said, as OpenAI's newer models answer."""
        return self.response_format == "url"

    def check(self) -> None:
        """Rules between fields. Raises InvalidRequestError."""
        for param in ("stream", "partial_images"):
            if getattr(self, param):
                raise UnsupportedParamError(
                    f"The parameter '{param}' is not supported: images are answered whole.",
                    param=param,
                )
        if self.background == "transparent":
            raise UnsupportedParamError(
                "Transparent backgrounds are not supported: the models make opaque images.",
                param="background",
            )
        if self.steps and self.num_steps and self.steps != self.num_steps:
            raise InvalidRequestError(
                "'steps' and 'num_steps' are the same thing, and differ here.", param="num_steps"
            )
        if self.output_compression is not None and self.output_format not in ("jpeg", "webp"):
            raise InvalidRequestError(
                "'output_compression' needs 'output_format' to be 'jpeg' or 'webp'.",
                param="output_compression",
            )


class GenerationParams(PictureParams):
    style: Literal["vivid", "natural"] | None = None
    moderation: Literal["low", "auto"] | None = None


class EditParams(PictureParams):
    """Without the images, which come as files or as URLs.

    strength: how much of the marked part is made anew; of the inpainting model.
    """

    strength: Annotated[Number, Field(ge=0, le=1)] | None = None

    # Accepted, and without meaning here.
    input_fidelity: Literal["high", "low"] | None = None
    # Known, and not to be had here.
    markup: None = None


class FormEditParams(EditParams):
    """A form's fields: all of them are text."""

    model_config = ConfigDict(strict=False)


class NamedImage(Params):
    """An image in a JSON body, by its URL or inside it."""

    image_url: Annotated[str, StringConstraints(min_length=1), IMAGE_URL]
    # Files are not kept here.
    file_id: None = None


class JsonEditParams(EditParams):
    """As newer clients send it: no form, but images by URL."""

    images: Annotated[list[NamedImage], Field(min_length=1, max_length=16)]
    mask: NamedImage | None = None


class ClassificationParams(Params):
    """The body of POST /v1/images/classifications, without the image."""

    model: ModelName
    top_k: Annotated[int, Field(ge=1, le=1000), WHOLE] | None = None
    user: str | None = None


class FormClassificationParams(ClassificationParams):
    """A form's fields: all of them are text."""

    model_config = ConfigDict(strict=False)


class JsonClassificationParams(ClassificationParams):
    """image: a URL of it, or itself as a data URL."""

    image: Annotated[str, StringConstraints(min_length=1), IMAGE_URL]
