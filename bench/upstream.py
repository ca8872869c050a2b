"""A Workers AI that answers at once: `python -m bench.upstream PORT`.

Just enough of `/client/v4/accounts/{id}/ai/run/{model}` to be called by the gateway, and so
cheap that what is measured is the gateway. Models of `@cf/meta/` answer in Workers AI's own
form, all others in OpenAI's. Peers call `/v1/chat/completions`, as OpenAI answers it.
`PUT /pace` sets how slowly: see Pace.
"""

import asyncio
import json
import re
import sys
from dataclasses import asdict, dataclass
from enum import Enum
from functools import cache

from bench.wire import head_and_length

PROMPT_TOKENS = 64
COMPLETION_TOKENS = 16
NATIVE_MODELS = b"/@cf/meta/"
OPENAI_PATH = b"/v1/chat/completions"


class Form(Enum):
    """NATIVE: Workers AI's own. WRAPPED: OpenAI's, as Workers AI wraps it. PLAIN: OpenAI's."""

    NATIVE = "native"
    WRAPPED = "wrapped"
    PLAIN = "plain"

    @classmethod
    def of(cls, path: bytes) -> "Form":
        if OPENAI_PATH in path:
            return cls.PLAIN
        return cls.NATIVE if NATIVE_MODELS in path else cls.WRAPPED


@dataclass(frozen=True)
class Pace:
    """delay_s: until an answer begins. chunks: pieces of text in a stream. interval_s: from
    one to the next."""

    delay_s: float = 0.0
    chunks: int = 100
    interval_s: float = 0.1

    def as_request(self) -> bytes:
        body = json.dumps(asdict(self)).encode()
        return b"PUT /pace HTTP/1.1\r\nHost: upstream\r\nContent-Length: %d\r\n\r\n%b" % (
            len(body),
            body,
        )


class Upstream(asyncio.Protocol):
    """One connection, kept alive. The pace is that of the whole process."""

    pace = Pace()

    def __init__(self) -> None:
        self.received = b""
        self.transport: asyncio.Transport
        self.timer: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self.transport = transport

    def connection_lost(self, exc: Exception | None) -> None:
        if self.timer:
            self.timer.cancel()

    def data_received(self, data: bytes) -> None:
        self.received += data
        head, length = head_and_length(self.received)
        if head == 0 or len(self.received) < head + length:
            return
        request, self.received = self.received[: head + length], b""
        path = request[: request.index(b" HTTP/")]
        if path == b"PUT /pace":
            Upstream.pace = Pace(**json.loads(request[head:]))
            self.transport.write(NO_CONTENT)
            return
        form = Form.of(path)
        is_stream = STREAMED.search(request, head) is not None
        if self.pace.delay_s:
            loop = asyncio.get_running_loop()
            self.timer = loop.call_later(self.pace.delay_s, self.answer, form, is_stream)
        else:
            self.answer(form, is_stream)

    def answer(self, form: Form, is_stream: bool) -> None:
        if not is_stream:
            self.transport.write(whole_answer(form))
            return
        pieces = stream_pieces(form, self.pace.chunks)
        self.transport.write(pieces[0])
        loop = asyncio.get_running_loop()
        self.send_later(pieces, 1, due=loop.time() + self.pace.interval_s)

    def send_later(self, pieces: list[bytes], index: int, *, due: float) -> None:
        """From due time to due time: being late once makes no later piece late."""
        loop = asyncio.get_running_loop()
        self.timer = loop.call_at(due, self.send, pieces, index, due)

    def send(self, pieces: list[bytes], index: int, due: float) -> None:
        self.transport.write(pieces[index])
        if index + 1 < len(pieces):
            self.send_later(pieces, index + 1, due=due + self.pace.interval_s)


# --- what it says -------------------------------------------------------------------

STREAMED = re.compile(rb'"stream": ?true')
NO_CONTENT = b"HTTP/1.1 204 No Content\r\n\r\n"
STREAM_HEAD = (
    b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n"
    b"cf-ai-req-id: bench\r\n\r\n"
)


@cache
def whole_answer(form: Form) -> bytes:
    text = "word " * COMPLETION_TOKENS
    result = {"response": text} if form is Form.NATIVE else openai_completion(text)
    result["usage"] = usage(COMPLETION_TOKENS)
    document: dict[str, object] = {"result": result, "success": True, "errors": [], "messages": []}
    body = json.dumps(result if form is Form.PLAIN else document).encode()
    head = (
        "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\ncf-ai-req-id: bench\r\n"
        f"Content-Length: {len(body)}\r\n\r\n"
    )
    return head.encode() + body


@cache
def stream_pieces(form: Form, chunks: int) -> list[bytes]:
    """What goes out at each moment: one frame with text, at the end also what closes it."""
    texts: dict[Form, dict[str, object]] = {
        Form.NATIVE: {"response": " word", "p": "abcdefghijklmnop"},
        Form.WRAPPED: with_increment(openai_chunk(" word")),
        Form.PLAIN: openai_chunk(" word"),
    }
    pieces = [frame(texts[form])] * chunks
    pieces[0] = STREAM_HEAD + pieces[0]
    if form is not Form.NATIVE:
        pieces[-1] += frame(openai_chunk("", finish_reason="stop"))
    closing = {"response": ""} if form is not Form.PLAIN else openai_chunk("") | {"choices": []}
    pieces[-1] += frame(closing | {"usage": usage(chunks)})
    pieces[-1] += http_chunk(b"data: [DONE]\n\n") + http_chunk(b"")
    return pieces


def frame(document: dict[str, object]) -> bytes:
    return http_chunk(b"data: " + json.dumps(document).encode() + b"\n\n")


def http_chunk(data: bytes) -> bytes:
    return b"%x\r\n%b\r\n" % (len(data), data)


def openai_completion(text: str) -> dict[str, object]:
    message = {"role": "assistant", "content": text}
    choice = {"index": 0, "message": message, "logprobs": None, "finish_reason": "stop"}
    return {
        "id": "bench",
        "object": "chat.completion",
        "created": 1,
        "model": "bench",
        "choices": [choice],
    }


def openai_chunk(text: str, *, finish_reason: str | None = None) -> dict[str, object]:
    delta = {"content": text} if text else {}
    choice = {"index": 0, "delta": delta, "logprobs": None, "finish_reason": finish_reason}
    return {
        "id": "bench",
        "object": "chat.completion.chunk",
        "created": 1,
        "model": "bench",
        "choices": [choice],
    }


def with_increment(chunk: dict[str, object]) -> dict[str, object]:
    """Usage on a chunk is an increment; the prompt's tokens are left to the last frame."""
    increment = {"prompt_tokens": 0, "completion_tokens": 1}
    return chunk | {"usage": increment, "p": "abcdefghijklmnop"}


def usage(completion_tokens: int) -> dict[str, object]:
    return {
        "prompt_tokens": PROMPT_TOKENS,
        "completion_tokens": completion_tokens,
        "total_tokens": PROMPT_TOKENS + completion_tokens,
        "prompt_tokens_details": {"cached_tokens": 0},
        "neurons": 1.17,
    }


async def serve(port: int) -> None:
    loop = asyncio.get_running_loop()
    server = await loop.create_server(Upstream, "127.0.0.1", port, backlog=4096)
    await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(serve(int(sys.argv[1])))
