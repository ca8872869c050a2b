import time
from collections.abc import Callable

import orjson
import pytest
from django.test import RequestFactory
from pydantic import BaseModel

from agentflare.api import MAX_VALUES, read_params
from agentflare.errors import GatewayError, InvalidRequestError


class Thing(BaseModel):
    text: str = ""
    names: list[str] = []


def read(body: bytes) -> Thing:
    request = RequestFactory().post("/", body, content_type="application/json")
    return read_params(request, Thing)


@pytest.mark.parametrize(
    "make",
    [
        lambda: b'{"names": [%s 1]}' % (b"1," * 4_000_000),
        lambda: b'{"names": [%s[]]}' % (b"[]," * 4_000_000),
        lambda: b"{%s}" % b",".join(b'"%d":1' % number for number in range(1_000_000)),
        lambda: b'{"x": %s' % (b"[" * 10_000_000),
    ],
)
def test_a_body_of_millions_of_values_is_refused_at_once(make: Callable[[], bytes]) -> None:
    body = make()
    started = time.process_time()
    with pytest.raises(GatewayError) as caught:
        read(body)

    assert caught.value.status == 400
    assert time.process_time() - started < 1


def test_what_stands_in_texts_does_not_count() -> None:
    text = '{"a\\\\": [1, "\\"2]}, \\' * MAX_VALUES

    assert read(orjson.dumps({"text": text})).text == text


def test_as_many_values_as_any_request_needs() -> None:
    names = ["x"] * (MAX_VALUES - 10)

    assert read(orjson.dumps({"names": names})).names == names
    with pytest.raises(InvalidRequestError, match=str(MAX_VALUES)):
        read(orjson.dumps({"names": names + ["x"] * 10}))
