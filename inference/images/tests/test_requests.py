"""From OpenAI's parameters to each family's own, and what is refused on the way."""

import base64
from dataclasses import replace
from typing import Any

import pytest

from agentflare.errors import GatewayError, InvalidRequestError
from inference.images.families import UNKNOWN, family_of
from inference.images.inputs import InputImage
from inference.images.params import EditParams, GenerationParams, PictureParams
from inference.images.requests import Sources, requests_for
from inference.images.tests.drawn import drawn, mask, opened
from inference.metering.tests.test_pictures import PICTURES, ROWS, offer
from inference.upstreams.requests import FormRequest, JsonRequest


def made(model: str, **params: Any) -> list[Any]:
    wanted = GenerationParams(model=model, prompt="a red bicycle", **params)
    wanted.check()
    return requests_for(wanted, offer(model))


def edited(model: str, *images: bytes, mask: bytes | None = None, **params: Any) -> list[Any]:
    wanted = EditParams(model=model, prompt="make it blue", **params)
    sources = [InputImage(each, "image/png", "image") for each in images]
    masking = InputImage(mask, "image/png", "mask") if mask else None
    return requests_for(wanted, offer(model), Sources(sources, masking))


def refusal(work: Any) -> GatewayError:
    with pytest.raises(GatewayError) as caught:
        work()
    return caught.value


# --- making -------------------------------------------------------------------------


def test_every_model_is_of_a_known_family_and_gets_its_form() -> None:
    for name in PICTURES:
        assert family_of(ROWS[name]["id"]) is not UNKNOWN
        if ROWS[name]["kind"] == "text-to-image":
            (request,) = made(name)
            is_form = ROWS[name]["request_form"] == "multipart"
            assert isinstance(request, FormRequest if is_form else JsonRequest)


def test_what_is_not_asked_for_is_left_to_the_model() -> None:
    for size in (None, "auto"):
        assert made("lucid-origin", size=size)[0].body == {"prompt": "a red bicycle"}
    assert made("flux-2-dev")[0].fields == {"prompt": "a red bicycle"}


def test_all_that_a_model_takes_goes_under_its_own_names() -> None:
    (phoenix,) = made(
        "phoenix-1", size="1536x1024", steps=30, guidance=3, seed=7, negative_prompt="rain"
    )
    (flux,) = made("flux-2-dev", size="1024x1536", num_steps=20, seed=7)
    (schnell,) = made("flux-1-schnell", size="1024x1024", num_steps=8)

    assert phoenix.body == {
        "prompt": "a red bicycle",
        "width": 1536,
        "height": 1024,
        "num_steps": 30,
        "guidance": 3,
        "seed": 7,
        "negative_prompt": "rain",
    }
    assert flux.fields == {
        "prompt": "a red bicycle",
        "width": "1024",
        "height": "1536",
        "steps": "20",
        "seed": "7",
    }
    # It refuses width and height.
    assert schnell.body == {"prompt": "a red bicycle", "steps": 8}


def test_several_images_are_calls_with_seeds_of_their_own() -> None:
    assert [r.body["seed"] for r in made("sdxl", n=3, seed=5)] == [5, 6, 7]
    assert [r.body["seed"] for r in made("sdxl", n=2, seed=2**32 - 1)] == [2**32 - 1, 0]
    assert ["seed" in r.body for r in made("sdxl", n=2)] == [False, False]


@pytest.mark.parametrize(
    ("model", "params", "param", "says"),
    [
        ("flux-1-schnell", {"size": "512x512"}, "size", "1024x1024 only"),
        ("flux-2-dev", {"size": "2048x1024"}, "size", "from 256 to 1920"),
        ("flux-2-klein-4b", {"size": "255x512"}, "size", "from 256 to 1920"),
        ("lucid-origin", {"size": "2501x64"}, "size", "from 1 to 2500"),
        ("phoenix-1", {"size": "64x2049"}, "size", "from 1 to 2048"),
        ("sdxl", {"size": "128x128"}, "size", "from 256 to 2048"),
        ("flux-1-schnell", {"steps": 9}, "steps", "up to 8 steps"),
        ("flux-1-schnell", {"num_steps": 9}, "num_steps", "up to 8 steps"),
        ("flux-2-klein-9b", {"steps": 5}, "steps", "always makes 4 steps"),
        ("sdxl", {"steps": 21}, "steps", "up to 20 steps"),
        ("flux-1-schnell", {"guidance": 3.5}, "guidance", "takes no guidance"),
        ("phoenix-1", {"guidance": 1}, "guidance", "2 to 10"),
        ("flux-2-dev", {"negative_prompt": "x"}, "negative_prompt", "no negative prompt"),
        ("lucid-origin", {"negative_prompt": "x"}, "negative_prompt", "no negative prompt"),
        ("flux-1-schnell", {"prompt": "x" * 2049}, "prompt", "up to 2048 characters"),
    ],
)
def test_what_a_model_cannot_do_is_refused_by_name(
    model: str, params: dict[str, Any], param: str, says: str
) -> None:
    wanted = GenerationParams(**{"model": model, "prompt": "p", **params})

    error = refusal(lambda: requests_for(wanted, offer(model)))

    assert (error.status, error.param) == (400, param)
    assert says in error.message
    assert model in error.message


@pytest.mark.parametrize(
    ("params", "param"),
    [
        ({"stream": True}, "stream"),
        ({"partial_images": 2}, "partial_images"),
        ({"background": "transparent"}, "background"),
        ({"steps": 4, "num_steps": 5}, "num_steps"),
        ({"output_compression": 50}, "output_compression"),
        ({"output_compression": 50, "output_format": "png"}, "output_compression"),
    ],
)
def test_what_nobody_can_do_is_refused(params: dict[str, Any], param: str) -> None:
    error = refusal(lambda: made("flux-1-schnell", **params))

    assert (error.status, error.param) == (400, param)


def test_what_clients_send_by_habit_is_taken() -> None:
    (request,) = made(
        "flux-1-schnell",
        quality="hd",
        style="vivid",
        moderation="low",
        background="auto",
        user="u",
        stream=False,
        partial_images=0,
        steps=4,
        num_steps=4,
    )

    assert request.body == {"prompt": "a red bicycle", "steps": 4}


@pytest.mark.parametrize("size", ["1024", "0x5", "1024x", "-1x5", "1024X1024", "123456x1", "big"])
def test_a_size_that_is_none_is_refused(size: str) -> None:
    with pytest.raises(ValueError, match="WIDTHxHEIGHT"):
        PictureParams(model="m", prompt="p", size=size)


# --- editing ------------------------------------------------------------------------


@pytest.mark.parametrize("model", ["flux-2-dev", "flux-2-klein-4b", "flux-2-klein-9b"])
def test_flux_2_gets_up_to_four_small_images(model: str) -> None:
    first, second = edited(model, drawn(2000, 1000), drawn(30, 40), n=2, seed=1)

    assert first.fields == {"prompt": "make it blue", "seed": "1"}
    assert second.fields["seed"] == "2"
    assert list(first.files) == ["input_image_0", "input_image_1"]
    sizes = [opened(content).size for _, content, _ in first.files.values()]
    assert sizes == [(511, 256), (30, 40)]
    assert second.files == first.files


def test_a_fifth_image_is_refused() -> None:
    error = refusal(lambda: edited("flux-2-dev", *[drawn()] * 5))

    assert (error.status, error.param) == (400, "image")
    assert "up to 4 images, and these are 5" in error.message


def test_inpainting_gets_image_mask_and_the_images_size() -> None:
    (request,) = edited(
        "sd-1.5-inpainting", drawn(300, 520), mask=mask(300, 520, box=(0, 0, 9, 9)), strength=0.5
    )

    body = request.body
    assert (body["width"], body["height"]) == (296, 520)
    assert opened(base64.b64decode(body["image_b64"])).size == (300, 520)
    white_where_edited = opened(bytes(body["mask"]))
    assert white_where_edited.getpixel((5, 5)) == 255
    assert white_where_edited.getpixel((20, 20)) == 0
    assert body["strength"] == 0.5


def test_inpainting_makes_the_size_asked_for() -> None:
    ready = mask(300, 300, box=(0, 0, 9, 9))
    (request,) = edited("sd-1.5-inpainting", ready, size="512x768")

    assert (request.body["width"], request.body["height"]) == (512, 768)


@pytest.mark.parametrize(
    ("model", "images", "params", "param", "code"),
    [
        ("sd-1.5-inpainting", 1, {}, "mask", "missing_required_parameter"),
        ("sd-1.5-inpainting", 2, {}, "image", "array_above_max_length"),
        ("sd-1.5-inpainting", 1, {"mask": drawn()}, "mask", "invalid_mask"),
        ("flux-2-dev", 1, {"mask": drawn()}, "mask", "unsupported_parameter"),
        ("flux-2-dev", 1, {"strength": 0.5}, "strength", "unsupported_parameter"),
        ("flux-1-schnell", 1, {}, "model", "model_not_supported"),
        ("sdxl", 1, {}, "model", "model_not_supported"),
        ("lucid-origin", 1, {}, "model", "model_not_supported"),
    ],
)
def test_images_that_a_model_does_not_take_are_refused(
    model: str, images: int, params: dict[str, Any], param: str, code: str
) -> None:
    error = refusal(lambda: edited(model, *[drawn()] * images, **params))

    assert isinstance(error, InvalidRequestError)
    assert (error.param, error.code) == (param, code)


def test_models_that_do_take_images_are_named() -> None:
    error = refusal(lambda: edited("sdxl", drawn()))

    do = "flux-2-dev, flux-2-klein-4b, flux-2-klein-9b, sd-1.5-inpainting"
    assert error.message.endswith(f"Models that do: {do}.")


@pytest.mark.parametrize("model", ["flux-2-dev", "sd-1.5-inpainting"])
def test_half_an_image_is_refused(model: str) -> None:
    error = refusal(lambda: edited(model, drawn(300, 300)[:-60]))

    assert (error.param, error.code) == ("image", "invalid_image")


def test_another_server_gets_openais_own_parameters() -> None:
    other = replace(offer("sdxl"), upstream="local", request_form="json")
    params = GenerationParams(model="m", prompt="p", n=2, size="512x512")
    requests = requests_for(params, other)

    body = {"prompt": "p", "n": 1, "response_format": "b64_json", "size": "512x512"}
    assert requests == [JsonRequest(body, operation="images/generations")] * 2
    refused = GenerationParams(model="m", prompt="p", steps=4)
    assert refusal(lambda: requests_for(refused, other)).param == "steps"
