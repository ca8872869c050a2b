"""Forms: what becomes of text, files, lists and objects, and what is refused."""

from typing import Any

import pytest
from django.test import RequestFactory
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import BaseModel, ConfigDict

from agentflare.errors import (
    GatewayError,
    InvalidRequestError,
    UnknownParamError,
    UnsupportedMediaTypeError,
)
from agentflare.multipart import FormFile, read_multipart

BOUNDARY = "xYz"


class Params(BaseModel):
    model_config = ConfigDict(extra="forbid")

    model: str
    n: int | None = None
    temperature: float | None = None
    stream: bool | None = None
    timestamp_granularities: list[str] | None = None
    chunking_strategy: str | dict[str, Any] | None = None


def part(name: str, value: bytes, *, file: str | None = None, kind: str = "") -> bytes:
    filename = "" if file is None else f'; filename="{file}"'
    content_type = f"\r\nContent-Type: {kind}" if kind else ""
    head = f'Content-Disposition: form-data; name="{name}"{filename}{content_type}'
    return f"--{BOUNDARY}\r\n{head}\r\n\r\n".encode() + value + b"\r\n"


def form(*parts: bytes, **headers: str) -> Any:
    return raw(b"".join(parts) + f"--{BOUNDARY}--\r\n".encode(), **headers)


def raw(body: bytes, content_type: str = "", **headers: str) -> Any:
    content_type = content_type or f"multipart/form-data; boundary={BOUNDARY}"
    return RequestFactory().post("/v1/x", data=body, content_type=content_type, **headers)


MODEL = part("model", b"whisper")


def test_text_becomes_what_the_params_say() -> None:
    request = form(
        MODEL,
        part("n", b"2"),
        part("temperature", b"0.25"),
        part("stream", b"true"),
        part("timestamp_granularities[]", b"word"),
        part("timestamp_granularities[]", b"segment"),
        part("chunking_strategy[type]", b"server_vad"),
        part("chunking_strategy[threshold]", b"0.5"),
    )
    params, files = read_multipart(request, Params)

    assert params == Params(
        model="whisper",
        n=2,
        temperature=0.25,
        stream=True,
        timestamp_granularities=["word", "segment"],
        chunking_strategy={"type": "server_vad", "threshold": "0.5"},
    )
    assert files == {"file": []}


@pytest.mark.parametrize("name", ["image", "image[]"])
def test_files_are_lists_with_or_without_brackets(name: str) -> None:
    request = form(
        MODEL, part(name, b"\x00\xff", file="a.png", kind="image/png"), part(name, b"", file="b")
    )
    _, files = read_multipart(request, Params, files=("image", "mask"))

    assert files == {
        "image": [FormFile("a.png", b"\x00\xff", "image/png"), FormFile("b", b"", "")],
        "mask": [],
    }


def test_large_files_arrive_whole_and_can_be_read_twice() -> None:
    content = bytes(range(256)) * 20_000
    request = form(MODEL, part("file", content, file="a.wav"))

    for _ in range(2):
        _, files = read_multipart(request, Params)
        assert files["file"][0].content == content


@pytest.mark.parametrize(
    ("parts", "param", "code"),
    [
        ([], "model", "missing_required_parameter"),
        ([MODEL, part("n", b"two")], "n", "invalid_type"),
        ([MODEL, part("stream", b"maybe")], "stream", "invalid_type"),
        ([MODEL, MODEL], "model", "invalid_type"),
        ([part("model", b"x", file="x")], "model", "invalid_type"),
        ([MODEL, part("file", b"no filename")], "file", "invalid_type"),
        ([MODEL, part("n", b"1"), part("n[]", b"1")], "n", "invalid_type"),
        ([MODEL, part("n[]", b"1"), part("n[a]", b"1")], "n", "invalid_type"),
    ],
)
def test_the_field_at_fault_is_named(parts: list[bytes], param: str, code: str) -> None:
    with pytest.raises(InvalidRequestError) as caught:
        read_multipart(form(*parts), Params)

    assert (caught.value.param, caught.value.code) == (param, code)


@pytest.mark.parametrize("extra", [part("sing", b"1"), part("sing[]", b"1", file="a")])
def test_unknown_fields_and_files_are_refused(extra: bytes) -> None:
    with pytest.raises(UnknownParamError) as caught:
        read_multipart(form(MODEL, extra), Params)

    assert caught.value.param == "sing"


def test_only_forms_are_read() -> None:
    for content_type in ("application/json", "application/x-www-form-urlencoded", "text/plain"):
        with pytest.raises(UnsupportedMediaTypeError):
            read_multipart(raw(b"{}", content_type), Params)
    with pytest.raises(UnsupportedMediaTypeError):
        read_multipart(form(MODEL, HTTP_CONTENT_ENCODING="gzip"), Params)


@pytest.mark.parametrize(
    ("body", "content_type"),
    [
        (b"\r\n", ""),
        (MODEL, ""),
        (MODEL + part("file", b"cut off", file="a"), ""),
        (b"no form at all", ""),
        (MODEL + b"--xYz--", "multipart/form-data"),
        (MODEL + b"--xYz--", "multipart/form-data; boundary=other"),
        (MODEL + b"--xYz--", 'multipart/form-data; boundary="ä"'),
    ],
)
def test_a_broken_form_is_refused(body: bytes, content_type: str) -> None:
    with pytest.raises(InvalidRequestError):
        read_multipart(raw(body, content_type), Params)


def test_too_many_fields_are_refused() -> None:
    with pytest.raises(InvalidRequestError):
        read_multipart(form(*[part(f"f{n}", b"") for n in range(1100)]), Params)
    with pytest.raises(InvalidRequestError):
        read_multipart(form(MODEL, *[part("file", b"x", file="x")] * 101), Params)


@given(st.binary(max_size=300))
@settings(max_examples=100, deadline=None)
def test_any_bytes_are_read_or_refused(body: bytes) -> None:
    for whole in (body, MODEL + body + b"\r\n--xYz--", MODEL + part("file", body, file="x")):
        try:
            read_multipart(raw(whole), Params)
        except GatewayError:
            continue
