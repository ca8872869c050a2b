"""The images of a request, in every form."""

import pytest

from agentflare.errors import InvalidRequestError
from agentflare.multipart import FormFile
from inference.images.inputs import from_files, from_urls
from inference.images.tests.drawn import data_url, drawn

PNG = drawn()


@pytest.fixture(autouse=True)
def _has_credit(monkeypatch: pytest.MonkeyPatch) -> None:
    """There is no such tenant, and no store here."""
    monkeypatch.setattr("inference.images.remote.require_credit", lambda tenant_code: None)


def test_files_are_what_their_bytes_say() -> None:
    (one,) = from_files([FormFile("a.txt", PNG, "text/plain")], param="image")
    two = from_files([FormFile("", PNG, "")] * 2, param="image")

    assert (one.content, one.media_type, one.param) == (PNG, "image/png", "image")
    assert [image.param for image in two] == ["image[0]", "image[1]"]


def test_data_urls_are_read_in_order() -> None:
    jpeg = drawn(form="JPEG")

    images = from_urls(
        [(data_url(PNG), "a"), (data_url(jpeg, "IMAGE/X"), "b")], tenant_code="acme00"
    )

    assert [(image.content, image.param) for image in images] == [(PNG, "a"), (jpeg, "b")]
    assert images[1].media_type == "image/jpeg"


@pytest.mark.parametrize(
    ("url", "code"),
    [
        ("ftp://example.com/a.png", "invalid_image_url"),
        ("nothing", "invalid_image_url"),
        ("data:image/png,abc", "invalid_image_url"),
        ("data:image/png;base64", "invalid_image_url"),
        ("data:image/png;base64,***", "invalid_base64"),
        ("data:image/png;base64,ü", "invalid_base64"),
        ("data:image/png;base64,aGk=", "invalid_image"),
        ("http://127.0.0.1/a.png", "invalid_image_url"),
    ],
)
def test_other_urls_are_refused_by_name(url: str, code: str) -> None:
    with pytest.raises(InvalidRequestError) as caught:
        from_urls(
            [(data_url(PNG), "images[0].image_url"), (url, "images[1].image_url")],
            tenant_code="acme00",
        )

    assert (caught.value.param, caught.value.code) == ("images[1].image_url", code)


def test_a_file_that_is_no_image_is_refused_by_name() -> None:
    with pytest.raises(InvalidRequestError, match=r"image\[1\]"):
        from_files([FormFile("a", PNG, ""), FormFile("b", b"x", "image/png")], param="image")
