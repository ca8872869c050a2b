"""From OpenAI's parameters to what each family of models takes.

Whatever a model cannot do is refused here, before anything is held: upstream would refuse it
with words of its own, or make another picture than was asked for.
"""

import base64
from collections.abc import Sequence
from typing import Any

from agentflare.errors import GatewayError, InvalidRequestError, UnsupportedParamError
from inference.catalog.selectors import Offer, catalogue
from inference.images.families import MAX_INPUT_IMAGES, Family, Takes, family_of
from inference.images.inputs import InputImage, unreadable
from inference.images.params import EditParams, PictureParams
from inference.images.pixels import MaskedImage, MaskError, as_reference, masked
from inference.images.sizes import NotAnImageError
from inference.upstreams.requests import FormRequest, JsonRequest, UpstreamRequest

FORM = "multipart"
_EXTENSIONS = {"image/png": "png", "image/jpeg": "jpg"}


class Sources:
    """The images of an edit, made ready for each kind of model once, whichever are asked."""

    def __init__(self, images: Sequence[InputImage], mask: InputImage | None) -> None:
        self.images = images
        self.mask = mask
        self._references: list[tuple[bytes, str]] | None = None
        self._masked: MaskedImage | None = None

    def references(self) -> list[tuple[bytes, str]]:
        """Content and media type. Raises InvalidRequestError."""
        if self._references is None:
            self._references = [self._reference(image) for image in self.images]
        return self._references

    @staticmethod
    def _reference(image: InputImage) -> tuple[bytes, str]:
        try:
            return as_reference(image.content, image.media_type)
        except NotAnImageError as exc:
            raise unreadable(image.param, str(exc)) from None

    def masked(self, *, model: str) -> MaskedImage:
        """Raises InvalidRequestError."""
        if self._masked is None:
            image = self.images[0]
            try:
                self._masked = masked(image.content, self.mask.content if self.mask else None)
            except NotAnImageError as exc:
                raise unreadable(image.param, str(exc)) from None
            except MaskError as exc:
                missing = self.mask is None
                raise InvalidRequestError(
                    f"The model `{model}` edits parts of an image. {exc}" if missing else str(exc),
                    param="mask",
                    code="missing_required_parameter" if missing else "invalid_mask",
                ) from None
        return self._masked


def requests_for(
    params: PictureParams, offer: Offer, sources: Sources | None = None
) -> list[UpstreamRequest]:
    """One for each image asked for. Raises GatewayError for what the model cannot do."""
    if offer.upstream:
        return [_openai_request(params, offer, sources)] * params.count
    family = family_of(offer.upstream_model)
    check(params, family)
    check_sources(params, family, sources)
    return [
        _request(params, offer, family, seed=seed, sources=sources) for seed in seeds_for(params)
    ]


def seeds_for(params: PictureParams) -> list[int | None]:
    """With one seed for all, all would be the same picture."""
    if params.seed is None:
        return [None] * params.count
    return [(params.seed + number) % 2**32 for number in range(params.count)]


# --- what a model can do ------------------------------------------------------------


def check(params: PictureParams, family: Family) -> None:
    """Raises InvalidRequestError or UnsupportedParamError."""
    if len(params.prompt) > family.max_prompt_chars:
        raise InvalidRequestError(
            f"Invalid value for 'prompt': the model `{params.model}` takes up to "
            f"{family.max_prompt_chars} characters, and this has {len(params.prompt)}.",
            param="prompt",
            code="string_above_max_length",
        )
    _check_size(params, family)
    _check_steps(params, family)
    _check_guidance(params, family)
    if params.negative_prompt is not None and not family.has_negative_prompt:
        raise _unsupported(params, "negative_prompt", "takes no negative prompt")


def _check_size(params: PictureParams, family: Family) -> None:
    size = params.wanted_size
    if size is None or (family.sides is None and size == family.size):
        return
    least, most = family.sides or (1, 0)
    if not (least <= size[0] <= most and least <= size[1] <= most):
        raise InvalidRequestError(
            f"Invalid value for 'size': the model `{params.model}` makes "
            f"{family.sizes_in_words}, not {params.size}.",
            param="size",
            code="invalid_value",
        )


def _check_steps(params: PictureParams, family: Family) -> None:
    steps = params.wanted_steps
    if steps is None:
        return
    if family.steps_field is None and steps != family.steps:
        raise _unsupported(
            params, params.steps_param, f"always makes {family.steps} steps", code="invalid_value"
        )
    if steps > family.max_steps:
        raise InvalidRequestError(
            f"Invalid value for '{params.steps_param}': the model `{params.model}` makes up to "
            f"{family.max_steps} steps.",
            param=params.steps_param,
            code="integer_above_max_value",
        )


def _check_guidance(params: PictureParams, family: Family) -> None:
    if params.guidance is None:
        return
    if family.guidance is None:
        raise _unsupported(params, "guidance", "takes no guidance")
    least, most = family.guidance
    if not least <= params.guidance <= most:
        raise InvalidRequestError(
            f"Invalid value for 'guidance': the model `{params.model}` takes {least:g} to "
            f"{most:g}.",
            param="guidance",
            code="invalid_value",
        )


def check_sources(params: PictureParams, family: Family, sources: Sources | None) -> None:
    """Raises InvalidRequestError where the images are not those that the model takes."""
    if sources is None:
        return
    if family.takes is Takes.NOTHING:
        raise _takes_no_images(params)
    most = MAX_INPUT_IMAGES if family.takes is Takes.REFERENCES else 1
    if len(sources.images) > most:
        raise InvalidRequestError(
            f"Invalid value for 'image': the model `{params.model}` takes "
            f"{'one image' if most == 1 else f'up to {most} images'}, and these are "
            f"{len(sources.images)}.",
            param="image",
            code="array_above_max_length",
        )
    if sources.mask is not None and family.takes is not Takes.MASKED:
        raise _unsupported(params, "mask", "takes no mask: say in the prompt what is to change")
    strength = params.strength if isinstance(params, EditParams) else None
    if strength is not None and family.takes is not Takes.MASKED:
        raise _unsupported(params, "strength", "takes no strength")


def _takes_no_images(params: PictureParams) -> GatewayError:
    others = [
        name
        for name, offer in catalogue().offers.items()
        if offer.is_listed_for("")
        and not offer.upstream
        and family_of(offer.upstream_model).takes is not Takes.NOTHING
    ]
    return InvalidRequestError(
        f"The model `{params.model}` makes images from text alone and takes none to edit. "
        f"Models that do: {', '.join(sorted(others))}.",
        param="model",
        code="model_not_supported",
    )


def _unsupported(
    params: PictureParams, param: str, why: str, *, code: str | None = None
) -> GatewayError:
    return UnsupportedParamError(f"The model `{params.model}` {why}.", param=param, code=code)


# --- what it is sent ----------------------------------------------------------------


def _request(
    params: PictureParams,
    offer: Offer,
    family: Family,
    *,
    seed: int | None,
    sources: Sources | None,
) -> UpstreamRequest:
    fields = _fields(params, family, seed=seed)
    if offer.request_form == FORM:
        references = sources.references() if sources else []
        files = {
            f"input_image_{number}": (f"{number}.{_EXTENSIONS[media_type]}", content, media_type)
            for number, (content, media_type) in enumerate(references)
        }
        return FormRequest({name: str(value) for name, value in fields.items()}, files)
    if sources:
        fields = {**fields, **_masked_fields(params, sources)}
    return JsonRequest(fields)


def _fields(params: PictureParams, family: Family, *, seed: int | None) -> dict[str, Any]:
    """What is not asked for is left to the model."""
    fields: dict[str, Any] = {"prompt": params.prompt}
    if params.wanted_size and not family.has_fixed_size:
        fields["width"], fields["height"] = params.wanted_size
    if params.wanted_steps and family.steps_field:
        fields[family.steps_field] = params.wanted_steps
    if params.guidance is not None:
        fields["guidance"] = params.guidance
    if params.negative_prompt is not None:
        fields["negative_prompt"] = params.negative_prompt
    if seed is not None:
        fields["seed"] = seed
    return fields


def _masked_fields(params: PictureParams, sources: Sources) -> dict[str, Any]:
    """The picture keeps the image's size where none is asked for."""
    ready = sources.masked(model=params.model)
    width, height = params.wanted_size or ready.size
    fields: dict[str, Any] = {
        "image_b64": base64.b64encode(ready.image).decode(),
        "mask": list(ready.mask),
        "width": width,
        "height": height,
    }
    if isinstance(params, EditParams) and params.strength is not None:
        fields["strength"] = params.strength
    return fields


def _openai_request(
    params: PictureParams, offer: Offer, sources: Sources | None
) -> UpstreamRequest:
    """For a server that speaks OpenAI's API: its parameters, and no others."""
    if sources is not None:
        raise _takes_no_images(params)
    for param in ("steps", "num_steps", "guidance", "seed", "negative_prompt"):
        if getattr(params, param) is not None:
            raise _unsupported(params, param, f"takes no {param}")
    body: dict[str, Any] = {"prompt": params.prompt, "n": 1, "response_format": "b64_json"}
    if params.wanted_size:
        body["size"] = params.size
    return JsonRequest(body, operation="images/generations")
