"""Text to image, inpainting, image classification."""

import base64
import struct
import zlib
from decimal import Decimal
from typing import Any

import pytest
import requests

from sandbox.workers_ai.images.drawing import draw
from sandbox.workers_ai.images.headers import ImageHeader, read_header
from sandbox.workers_ai.tests.client import Caller, script

FLUX_1 = "@cf/black-forest-labs/flux-1-schnell"
FLUX_2_DEV = "@cf/black-forest-labs/flux-2-dev"
KLEIN_4B = "@cf/black-forest-labs/flux-2-klein-4b"
KLEIN_9B = "@cf/black-forest-labs/flux-2-klein-9b"
LUCID = "@cf/leonardo/lucid-origin"
PHOENIX = "@cf/leonardo/phoenix-1.0"
SDXL = "@cf/stabilityai/stable-diffusion-xl-base-1.0"
LIGHTNING = "@cf/bytedance/stable-diffusion-xl-lightning"
DREAMSHAPER = "@cf/lykon/dreamshaper-8-lcm"
INPAINTING = "@cf/runwayml/stable-diffusion-v1-5-inpainting"
RESNET = "@cf/microsoft/resnet-50"

PNG = draw("x", 1, 40, 30, form="png")


def send_form(
    stand_in: Caller, model: str, fields: dict[str, Any], **images: bytes
) -> requests.Response:
    parts: dict[str, Any] = {name: (None, str(value)) for name, value in fields.items()}
    parts |= {name: (f"{name}.png", content, "image/png") for name, content in images.items()}
    url = f"{stand_in.base}/run/{model}"
    return requests.post(url, files=parts, headers=stand_in.headers(), timeout=30)


def image_in(response: requests.Response) -> ImageHeader:
    assert response.status_code == 200, response.text
    if response.headers["Content-Type"] == "application/json":
        content = base64.b64decode(response.json()["result"]["image"], validate=True)
    else:
        content = response.content
        header = read_header(content)
        assert header is not None
        assert response.headers["Content-Type"] == f"image/{header.form}"
    header = read_header(content)
    assert header is not None
    return header


@pytest.mark.parametrize(
    ("model", "body", "header", "neurons"),
    [
        # 4 tiles x (4.8 + 4 steps x 9.6)
        (FLUX_1, {}, ImageHeader("jpeg", (1024, 1024)), "172.8"),
        (FLUX_1, {"steps": 8}, ImageHeader("jpeg", (1024, 1024)), "326.4"),
        # 4.78515625 tiles x (636 + 15 x 12)
        (LUCID, {}, ImageHeader("jpeg", (1120, 1120)), "3904.6875"),
        # 1 tile x (636 + 40 x 12), by either name of the field
        (LUCID, {"width": 512, "height": 512, "steps": 40}, None, "1116"),
        (LUCID, {"width": 512, "height": 512, "num_steps": 40}, None, "1116"),
        (PHOENIX, {"width": 512, "height": 768}, ImageHeader("jpeg", (512, 768)), None),
        (SDXL, {}, ImageHeader("png", (1024, 1024)), "0"),
        (LIGHTNING, {"width": 256, "height": 300}, ImageHeader("jpeg", (256, 300)), "0"),
        (DREAMSHAPER, {}, ImageHeader("png", (512, 512)), None),
    ],
)
def test_picture_has_its_size_its_form_and_its_price(
    stand_in: Caller, model: str, body: dict[str, Any], header: Any, neurons: str | None
) -> None:
    response = stand_in.run(model, {"prompt": "a red bicycle", **body})

    found = image_in(response)
    assert header is None or found == header
    assert response.headers.get("cf-ai-neurons") == neurons
    assert response.headers["x-sandbox-source"] == "sandbox-drawing"


@pytest.mark.parametrize(
    ("model", "fields", "inputs", "neurons"),
    [
        # 3 tiles x 50 steps x 37.5, at the default size of 1024 x 768
        (FLUX_2_DEV, {}, 0, "5625"),
        (FLUX_2_DEV, {"width": 1024, "height": 1024}, 0, "7500"),
        # 4 x 20 x 37.5 + 2 input tiles x 20 x 18.75
        (FLUX_2_DEV, {"width": 1024, "height": 1024, "steps": 20}, 2, "3750"),
        # 3.5 tiles count as 4, x 26.05
        (KLEIN_4B, {"width": 1280, "height": 720}, 0, "104.2"),
        (KLEIN_4B, {"width": 1280, "height": 720}, 1, "109.57"),
        (KLEIN_9B, {"width": 1024, "height": 1024}, 0, "1363.64"),
        # 1920 x 1920 is 3.5 megapixels: the first, and three more
        (KLEIN_9B, {"width": 1920, "height": 1920}, 0, "1909.1"),
        (KLEIN_9B, {"width": 512, "height": 512}, 2, "1727.28"),
    ],
)
def test_form_of_flux_2_and_its_price(
    stand_in: Caller, model: str, fields: dict[str, Any], inputs: int, neurons: str
) -> None:
    images = {f"input_image_{number}": PNG for number in range(inputs)}

    response = send_form(stand_in, model, {"prompt": "a red bicycle", **fields}, **images)

    size = (fields.get("width", 1024), fields.get("height", 768))
    assert image_in(response) == ImageHeader("jpeg", size)
    assert response.headers["cf-ai-neurons"] == neurons
    call = stand_in.calls()[-1]
    assert call["form"]["prompt"] == "a red bicycle"
    assert [call["form"].get(name) for name in images] == [len(PNG)] * inputs


def test_flux_2_refuses_json_and_names_what_it_wants(stand_in: Caller) -> None:
    status, code, text = stand_in.error(stand_in.run(KLEIN_4B, {"prompt": "x"}))

    assert (status, code) == (400, 5006)
    assert "required properties" in text
    assert "multipart" in text


def test_input_image_that_is_too_large_or_none_is_refused(stand_in: Caller) -> None:
    large = draw("x", 1, 512, 20, form="png")
    fits = draw("x", 1, 511, 20, form="png")

    too_large = send_form(stand_in, KLEIN_4B, {"prompt": "x"}, input_image_0=large)
    no_image = send_form(stand_in, KLEIN_4B, {"prompt": "x"}, input_image_0=b"no image")

    assert send_form(stand_in, KLEIN_4B, {"prompt": "x"}, input_image_0=fits).status_code == 200
    assert stand_in.error(too_large)[:2] == (400, 8001)
    assert stand_in.error(no_image)[:2] == (400, 8001)


@pytest.mark.parametrize(
    ("model", "body", "words"),
    [
        (FLUX_1, {}, "required properties at '/' are 'prompt'"),
        (FLUX_1, {"prompt": ""}, "minLength at '/prompt'"),
        (FLUX_1, {"prompt": "x", "width": 512}, "additional property 'width'"),
        (FLUX_1, {"prompt": "x", "height": 512}, "additional property 'height'"),
        (FLUX_1, {"prompt": "x", "steps": 9}, "'/steps' must be <= 8"),
        (LUCID, {"prompt": "x", "width": 2501}, "'/width' must be <= 2500"),
        (LUCID, {"prompt": "x", "guidance": 11}, "'/guidance' must be <= 10"),
        (SDXL, {"prompt": "x", "width": 128}, "'/width' must be >= 256"),
        (SDXL, {"prompt": "x", "num_steps": 21}, "'/num_steps' must be <= 20"),
        (SDXL, {"prompt": "x", "height": "tall"}, "Type mismatch of '/height'"),
        (INPAINTING, {"prompt": "x"}, "required properties at '/' are 'image'"),
        (INPAINTING, {"prompt": "x", "image": [1]}, "required properties at '/' are 'mask'"),
        (INPAINTING, {"prompt": "x", "image": [256], "mask": [1]}, "items at '/image'"),
    ],
)
def test_body_outside_the_schema(
    stand_in: Caller, model: str, body: dict[str, Any], words: str
) -> None:
    status, code, text = stand_in.error(stand_in.run(model, body))

    assert (status, code) == (400, 5006)
    assert words in text


def test_form_field_outside_its_range(stand_in: Caller) -> None:
    wide = send_form(stand_in, FLUX_2_DEV, {"prompt": "x", "width": 1921})
    text = send_form(stand_in, FLUX_2_DEV, {"prompt": "x", "width": "wide"})
    no_prompt = send_form(stand_in, FLUX_2_DEV, {"width": 512})

    assert "'/width' must be <= 1920" in stand_in.error(wide)[2]
    assert "Type mismatch of '/width'" in stand_in.error(text)[2]
    assert "are 'prompt'" in stand_in.error(no_prompt)[2]


def test_inpainting_takes_an_image_and_a_mask(stand_in: Caller) -> None:
    image = base64.b64encode(PNG).decode()

    as_lists = stand_in.run(INPAINTING, {"prompt": "x", "image": list(PNG), "mask": [1]})
    as_base64 = stand_in.run(INPAINTING, {"prompt": "x", "image_b64": image, "mask": [1]})
    broken = stand_in.run(INPAINTING, {"prompt": "x", "image_b64": "?", "mask": [1]})

    assert image_in(as_lists) == image_in(as_base64) == ImageHeader("png", (512, 512))
    assert stand_in.error(broken)[:2] == (400, 5004)


def test_same_seed_draws_the_same_picture_and_no_seed_a_new_one(stand_in: Caller) -> None:
    body = {"prompt": "a red bicycle", "width": 256, "height": 256}

    seeded = [stand_in.run(SDXL, {**body, "seed": 7}).content for _ in range(2)]
    fresh = [stand_in.run(SDXL, body).content for _ in range(2)]

    assert seeded[0] == seeded[1]
    assert fresh[0] != fresh[1]


def test_picture_says_inside_that_it_is_a_stand_in() -> None:
    assert b"sandbox stand-in" in draw("x", 1, 40, 30, form="png")
    assert b"sandbox stand-in" in draw("x", 1, 40, 30, form="jpeg")


def test_png_holds_the_pixels_its_header_promises() -> None:
    image = draw("x", 1, 37, 21, form="png")

    at, packed = 8, b""
    while at < len(image):
        size, kind = struct.unpack(">I4s", image[at : at + 8])
        content = image[at + 8 : at + 8 + size]
        (checksum,) = struct.unpack(">I", image[at + 8 + size : at + 12 + size])
        assert checksum == zlib.crc32(kind + content)
        packed += content if kind == b"IDAT" else b""
        at += 12 + size
    assert len(zlib.decompress(packed)) == 21 * (1 + 3 * 37)


def test_classification_says_what_the_header_says(stand_in: Caller) -> None:
    url = f"{stand_in.base}/run/{RESNET}"
    headers = stand_in.headers({"Content-Type": "application/octet-stream"})

    raw = requests.post(url, data=PNG, headers=headers, timeout=10)
    listed = stand_in.run(RESNET, {"image": list(PNG)})

    labels = [item["label"] for item in raw.json()["result"]]
    assert labels == ["PNG FILE", "40 BY 30 PIXELS", "THE SANDBOX HAS NO EYES"]
    assert listed.json()["result"] == raw.json()["result"]
    assert Decimal(raw.headers["cf-ai-neurons"]) == Decimal("0.228055")


def test_classification_of_no_image_is_refused_unless_scripted(stand_in: Caller) -> None:
    refused = stand_in.run(RESNET, {"image": [1, 2, 3]})
    scripted = stand_in.run(RESNET, {"image": list(script("", text="TABBY").encode())})
    missing = stand_in.run(RESNET, {})

    assert stand_in.error(refused)[:2] == (400, 8001)
    assert scripted.json()["result"][0]["label"] == "TABBY"
    assert stand_in.error(missing)[:2] == (400, 5006)
