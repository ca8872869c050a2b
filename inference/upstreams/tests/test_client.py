from types import SimpleNamespace
from typing import Any

from inference.upstreams.accounts import WORKERS_AI, Account
from inference.upstreams.client import Answer


class Wire:
    """A socket that remembers being shut down."""

    def __init__(self) -> None:
        self.is_shut_down = False

    def shutdown(self, how: int) -> None:
        self.is_shut_down = True

    def settimeout(self, timeout_s: float) -> None:
        pass


def answer(body: bytes) -> tuple[Answer, Wire]:
    wire = Wire()
    pieces = iter([body, b""])
    response: Any = SimpleNamespace(
        raw=SimpleNamespace(
            connection=SimpleNamespace(sock=wire), read1=lambda size: next(pieces, b"")
        ),
        headers={},
        status_code=200,
        content=body,
        close=lambda: None,
    )
    return Answer(response, Account("main", WORKERS_AI, "http://upstream")), wire


def test_an_answer_that_is_being_read_can_be_broken_off() -> None:
    running, wire = answer(b'data: {"response": "a"}\n\n')

    next(running.frames())
    running.abort()

    assert wire.is_shut_down


def test_a_connection_that_may_be_anothers_is_never_broken_off() -> None:
    """Once an answer is read, its connection is back in the pool, perhaps in use again."""
    whole, wire = answer(b'{"result": {"response": "a"}}')
    whole.result()
    whole.abort()
    assert not wire.is_shut_down

    stream, wire = answer(b'data: {"response": "a"}\n\ndata: [DONE]\n\n')
    list(stream.frames())
    stream.abort()
    assert not wire.is_shut_down

    closed, wire = answer(b"")
    closed.close()
    closed.abort()
    assert not wire.is_shut_down
