"""A stream with an Idempotency-Key: it ends in any case, and comes again byte for byte."""

import threading
import time
from collections.abc import Iterator
from typing import Any

import pytest

from inference.idempotency import streams
from inference.idempotency.streams import LastEvent
from inference.idempotency.tests.fakes import Endpoint, error_code, new_tenant, stream

CHUNKS = [b'data: {"n": %d}\n\n' % number for number in range(40)]
DONE = b"data: [DONE]\n\n"
ERROR = b'data: {"error": {"message": "Broke.", "type": "server_error", "code": null}}\n\n'


@pytest.fixture
def tenant() -> str:
    return new_tenant()


class Run:
    """The chunks of a run, which waits before the fourth until it may go on."""

    def __init__(self, *chunks: bytes, waits: bool = False) -> None:
        self.chunks = chunks
        self.may_go_on = threading.Event()
        self.closed = False
        if not waits:
            self.may_go_on.set()

    def __iter__(self) -> Iterator[bytes]:
        for number, chunk in enumerate(self.chunks):
            if number == 3:
                assert self.may_go_on.wait(20)
            yield chunk

    def close(self) -> None:
        self.closed = True


def read(response: Any) -> bytes:
    try:
        return b"".join(response.streaming_content)
    finally:
        response.close()


def test_a_stream_comes_again_as_a_stream_of_the_same_bytes(tenant: str) -> None:
    endpoint = Endpoint(lambda request: stream(Run(*CHUNKS, DONE)))

    first, again = endpoint.post(tenant), None
    told = read(first)
    again = endpoint.post(tenant)

    assert told == b"".join(CHUNKS) + DONE
    assert again.streaming
    assert read(again) == told
    for name in ("Content-Type", "X-Accel-Buffering"):
        assert again[name] == first[name]
    assert again["Idempotent-Replayed"] == "true"
    assert len(endpoint.runs) == 1


def test_the_first_client_reads_pieces_as_they_come(tenant: str) -> None:
    run = Run(*CHUNKS, DONE, waits=True)
    response = Endpoint(lambda request: stream(run)).post(tenant)

    pieces = iter(response.streaming_content)
    assert [next(pieces) for _ in range(3)] == CHUNKS[:3]
    run.may_go_on.set()
    assert list(pieces) == [*CHUNKS[3:], DONE]


def test_while_it_runs_a_repeat_is_refused_though_the_client_has_left(tenant: str) -> None:
    run = Run(*CHUNKS, DONE, waits=True)
    endpoint = Endpoint(lambda request: stream(run))
    first = endpoint.post(tenant)
    next(iter(first.streaming_content))
    first.close()

    refused = endpoint.post(tenant)
    assert (refused.status_code, error_code(refused)) == (409, "idempotency_key_in_use")
    assert not run.closed

    run.may_go_on.set()
    assert streams.wait_for_all(5)
    assert read(endpoint.post(tenant)) == b"".join(CHUNKS) + DONE
    assert run.closed
    assert len(endpoint.runs) == 1


def test_a_stream_that_nobody_reads_ends_too(tenant: str) -> None:
    endpoint = Endpoint(lambda request: stream(Run(*CHUNKS, DONE)))
    endpoint.post(tenant)

    assert streams.wait_for_all(5)
    assert read(endpoint.post(tenant)) == b"".join(CHUNKS) + DONE


@pytest.mark.parametrize(
    "last", [DONE, CHUNKS[0] + DONE, b'event: response.completed\ndata: {"a": 1}\n\n']
)
def test_who_has_read_the_last_event_can_have_it_again_at_once(
    tenant: str, last: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    endpoint = Endpoint(lambda request: stream([*CHUNKS, last]))
    keep = streams._DetachedRun._keep_or_release

    def keep_slowly(*args: Any) -> None:
        time.sleep(0.2)
        keep(*args)

    monkeypatch.setattr(streams._DetachedRun, "_keep_or_release", keep_slowly)
    for piece in endpoint.post(tenant).streaming_content:
        if piece == last:
            break

    assert endpoint.post(tenant)["Idempotent-Replayed"] == "true"


@pytest.mark.parametrize(
    "error",
    [
        ERROR,
        b'event: error\ndata: {"type": "error", "message": "Broke."}\n\n',
        b'event: response.failed\ndata: {"type": "response.failed", "response": {}}\n\n',
        b'data: {"type": "response.failed"}\n\n',
    ],
)
def test_a_stream_that_ends_in_an_error_frees_the_key(tenant: str, error: bytes) -> None:
    endpoint = Endpoint(lambda request: stream([*CHUNKS, error]))

    assert read(endpoint.post(tenant)) == b"".join(CHUNKS) + error
    endpoint.answer = lambda request: stream([*CHUNKS, DONE])

    again = endpoint.post(tenant)
    assert read(again) == b"".join(CHUNKS) + DONE
    assert "Idempotent-Replayed" not in again
    assert len(endpoint.runs) == 2


def test_a_stream_that_breaks_breaks_for_its_client_and_frees_the_key(tenant: str) -> None:
    def breaking() -> Iterator[bytes]:
        yield CHUNKS[0]
        raise ConnectionResetError("upstream")

    endpoint = Endpoint(lambda request: stream(breaking()))
    response = endpoint.post(tenant)
    with pytest.raises(ConnectionResetError):
        read(response)

    endpoint.answer = lambda request: stream([DONE])
    assert read(endpoint.post(tenant)) == DONE


def test_an_error_that_somebody_quotes_is_none(tenant: str) -> None:
    endpoint = Endpoint(lambda request: stream([ERROR, b'data: {"error": null}\n\n']))
    read(endpoint.post(tenant))

    assert endpoint.post(tenant)["Idempotent-Replayed"] == "true"


def test_audio_is_kept_alike(tenant: str) -> None:
    pieces = [bytes(range(256)) * 100, b"\n\ndata: {}\n\n", ERROR]
    endpoint = Endpoint(lambda request: stream(pieces, "audio/mpeg"))

    assert read(endpoint.post(tenant)) == b"".join(pieces)
    again = endpoint.post(tenant)
    assert (again["Content-Type"], read(again)) == ("audio/mpeg", b"".join(pieces))


def test_a_stream_over_the_limit_is_not_kept(tenant: str, settings: Any) -> None:
    settings.IDEMPOTENCY_MAX_BODY_BYTES = 50
    endpoint = Endpoint(lambda request: stream([*CHUNKS, DONE]))
    assert read(endpoint.post(tenant)) == b"".join(CHUNKS) + DONE

    assert error_code(endpoint.post(tenant)) == "idempotency_answer_not_kept"
    assert len(endpoint.runs) == 1


@pytest.mark.parametrize("size", [1, 2, 3, 7, 1000])
def test_the_last_event_is_known_in_pieces_of_any_size(size: int) -> None:
    text = b"".join(CHUNKS) + ERROR
    last = LastEvent()
    for start in range(0, len(text), size):
        last.add(text[start : start + size])

    assert bytes(last._text) == ERROR
    assert last.is_error
    last.add(DONE)
    assert not last.is_error
