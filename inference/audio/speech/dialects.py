"""The two forms in which a client reads speech: the sound itself, or events with it inside."""

from base64 import b64encode
from typing import Any, Protocol

import orjson

from inference.pipeline import Told
from inference.task_usage import money_fields
from inference.tokens.counting import count_tokens
from inference.upstreams.failures import UpstreamCallError

EVENT_STREAM = "text/event-stream; charset=utf-8"


class SpeechDialect(Protocol):
    def content_type(self, media_type: str) -> str: ...

    def write(self, piece: bytes) -> bytes: ...

    def end(self, told: Told) -> bytes:
        """Empty: nothing more is to be said."""
        ...

    def error(self, failure: UpstreamCallError) -> bytes:
        """Or raises, where an error can't be written any more."""
        ...


class PlainSound:
    """A sound has no place for an error: only a connection that breaks tells of one."""

    def content_type(self, media_type: str) -> str:
        return media_type

    def write(self, piece: bytes) -> bytes:
        return piece

    def end(self, told: Told) -> bytes:
        return b""

    def error(self, failure: UpstreamCallError) -> bytes:
        """The server cuts the body where this is raised, without its last chunk."""
        raise failure


class SoundEvents:
    """stream_format "sse"."""

    def __init__(self, text: str) -> None:
        self._text = text

    def content_type(self, media_type: str) -> str:
        return EVENT_STREAM

    def write(self, piece: bytes) -> bytes:
        return _event({"type": "speech.audio.delta", "audio": b64encode(piece).decode()})

    def end(self, told: Told) -> bytes:
        """OpenAI's fields are tokens; what is charged are the characters."""
        tokens = count_tokens(self._text)
        usage = {
            "input_tokens": tokens,
            "output_tokens": 0,
            "total_tokens": tokens,
            "characters": len(self._text),
            **money_fields(told),
        }
        return _event({"type": "speech.audio.done", "usage": usage})

    def error(self, failure: UpstreamCallError) -> bytes:
        return _event({"type": "error", **failure.error.body()})


def _event(event: dict[str, Any]) -> bytes:
    return b"data: " + orjson.dumps(event) + b"\n\n"
