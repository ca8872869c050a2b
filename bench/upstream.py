"""A Workers AI that answers at once: `python -m bench.upstream PORT`.

Just enough of `/client/v4/accounts/{id}/ai/run/{model}` to be called by the gateway, and so
cheap that what is measured is the gateway. Models of `@cf/meta/` answer in Workers AI's own
form, all others in OpenAI's. `PUT /pace` sets how slowly: see Pace.
"""

import asyncio
import json
import sys
from dataclasses import asdict, dataclass
from functools import cache

from bench.wire import head_and_length

PROMPT_TOKENS = 64
COMPLETION_TOKENS = 16
NATIVE_MODELS = b"/@cf/meta/"


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
        is_native = NATIVE_MODELS in path
        is_stream = b'"stream":true' in request[head:]
        if self.pace.delay_s:
            loop = asyncio.get_running_loop()
            self.timer = loop.call_later(self.pace.delay_s, self.answer, is_native, is_stream)
        else:
            self.answer(is_native, is_stream)

    def answer(self, is_native: bool, is_stream: bool) -> None:
        if not is_stream:
            self.transport.write(whole_answer(is_native))
            return
        pieces = stream_pieces(is_native, self.pace.chunks)
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

NO_CONTENT = b"HTTP/1.1 204 No Content\r\n\r\n"
STREAM_HEAD = (
    b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n"
    b"cf-ai-req-id: bench\r\n\r\n"
)


@cache
def whole_answer(is_native: bool) -> bytes:
    text = "word " * COMPLETION_TOKENS
    result: dict[str, object] = {"response": text} if is_native else openai_completion(text)
    result["usage"] = usage(COMPLETION_TOKENS)
    document: dict[str, object] = {"result": result, "success": True, "errors": [], "messages": []}
    body = json.dumps(document).encode()
    head = (
        "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\ncf-ai-req-id: bench\r\n"
        f"Content-Length: {len(body)}\r\n\r\n"
    )
    return head.encode() + body


@cache
def stream_pieces(is_native: bool, chunks: int) -> list[bytes]:
    """What goes out at each moment: one frame with text, at the end also what closes it."""
    text_frame: dict[str, object] = {"response": " word", "p": "abcdefghijklmnop"}
    if not is_native:
        text_frame = openai_chunk({"content": " word"}, None)
    pieces = [frame(text_frame)] * chunks
    pieces[0] = STREAM_HEAD + pieces[0]
    if not is_native:
        pieces[-1] += frame(openai_chunk({}, "stop"))
    pieces[-1] += frame({"response": "", "usage": usage(chunks)})
    pieces[-1] += http_chunk(b"data: [DONE]\n\n") + http_chunk(b"")
    return pieces


def frame(document: dict[str, object]) -> bytes:
    return http_chunk(b"data: " + json.dumps(document).encode() + b"\n\n")


def http_chunk(data: bytes) -> bytes:
    return b"%x\r\n%b\r\n" % (len(data), data)


def openai_completion(text: str) -> dict[str, object]:
    message = {"role": "assistant", "content": text}
    choice = {"index": 0, "message": message, "logprobs": None, "finish_reason": "stop"}
    return {"id": "bench", "object": "chat.completion", "created": 1, "choices": [choice]}


def openai_chunk(delta: dict[str, str], finish_reason: str | None) -> dict[str, object]:
    """Usage on a chunk is an increment; the prompt's tokens are left to the last frame."""
    choice = {"index": 0, "delta": delta, "logprobs": None, "finish_reason": finish_reason}
    increment = {"prompt_tokens": 0, "completion_tokens": int("content" in delta)}
    return {
        "id": "bench",
        "object": "chat.completion.chunk",
        "created": 1,
        "choices": [choice],
        "usage": increment,
        "p": "abcdefghijklmnop",
    }


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
