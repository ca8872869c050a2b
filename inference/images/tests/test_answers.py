"""Pictures out of answers: JSON or bytes, whole or not, in the format asked for."""

import base64
from typing import Any

import pytest
from openai.types import ImagesResponse

from inference.images.answers import content_in, images_response, picture_from
from inference.images.params import GenerationParams
from inference.images.tests.drawn import data_url, drawn, opened
from inference.upstreams.failures import UpstreamCallError


def params(**wanted: Any) -> GenerationParams:
    return GenerationParams(model="m", prompt="p", **wanted)


JPEG = drawn(form="JPEG")


@pytest.mark.parametrize(
    "result",
    [
        {"image": base64.b64encode(JPEG).decode()},
        {"image": data_url(JPEG)},
        {"data": [{"b64_json": base64.b64encode(JPEG).decode()}]},
    ],
)
def test_json_holds_the_picture_as_base64(result: Any) -> None:
    assert content_in(result) == JPEG


@pytest.mark.parametrize("result", [{}, {"image": 5}, {"image": "*"}, {"data": []}])
def test_json_without_a_picture_is_unreadable(result: Any) -> None:
    with pytest.raises(UpstreamCallError):
        content_in(result)


@pytest.mark.parametrize("form", ["PNG", "JPEG", "WEBP", "GIF"])
def test_first_bytes_tell_the_format_and_last_bytes_whether_it_is_whole(form: str) -> None:
    content = drawn(200, 200, form=form)

    assert picture_from(content, params()).media_type == f"image/{form.lower()}"
    with pytest.raises(UpstreamCallError):
        picture_from(content[: len(content) // 2], params())


@pytest.mark.parametrize("content", [b"", b"<html>", b'{"success": false}'])
def test_bytes_that_are_no_picture_are_unreadable(content: bytes) -> None:
    with pytest.raises(UpstreamCallError):
        picture_from(content, params())


def test_a_picture_in_the_format_asked_for_is_not_touched() -> None:
    assert picture_from(JPEG, params(output_format="jpeg")).content is JPEG


def test_another_format_is_made() -> None:
    picture = picture_from(JPEG, params(output_format="webp", output_compression=20))

    assert (opened(picture.content).format, picture.media_type) == ("WEBP", "image/webp")


def test_the_response_is_openais() -> None:
    wanted = params(output_format="png", background="opaque")
    picture = picture_from(drawn(30, 20), wanted)
    data = [{"b64_json": picture.as_base64()}]

    body = images_response([picture], wanted, created=5, data=data, usage={"step": "20"})

    assert ImagesResponse.model_validate(body, strict=True).model_dump(exclude_unset=True) == {
        "created": 5,
        "data": data,
        "output_format": "png",
        "size": "30x20",
        "background": "opaque",
        "usage": {
            "input_tokens": 0,
            "input_tokens_details": {"image_tokens": 0, "text_tokens": 0},
            "output_tokens": 0,
            "total_tokens": 0,
            "step": "20",
        },
    }
