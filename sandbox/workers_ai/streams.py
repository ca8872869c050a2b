"""Server-sent events: frames written at the directive's pace, and broken where it says."""

import asyncio
import random
import time
from collections.abc import AsyncGenerator
from contextlib import aclosing
from dataclasses import dataclass
from typing import Any

import orjson
from aiohttp import web

from sandbox.workers_ai.exchange import Exchange
from sandbox.workers_ai.faults import break_off, wait_for_client_to_leave
from sandbox.workers_ai.journal import End
from sandbox.workers_ai.script import Directive

# A stream without a pace gives way to the others after this many frames.
FRAMES_IN_A_ROW = 32

PADDING = "abcdefghijklmnopqrstuvwxyz0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ"


@dataclass(slots=True)
class Frame:
    """One event. Chunks are the frames that faults and the journal count: those with content.

    tokens: completion tokens in it.
    """

    data: dict[str, Any]
    is_chunk: bool = False
    tokens: int = 0


def padding() -> str:
    """Random length, against traffic analysis; means nothing."""
    return PADDING[: random.randint(1, len(PADDING))]


async def send_stream(
    exchange: Exchange,
    frames: AsyncGenerator[Frame, None],
    *,
    directive: Directive,
    error_frame: dict[str, Any],
) -> web.StreamResponse:
    """Write `frames`, then `[DONE]`.

    The first frame is taken before the status is sent: what fails until then is refused with an
    ordinary envelope. error_frame: what `error_frame_after` sends.
    """
    async with aclosing(frames):
        first = await anext(frames)
        writer = await StreamWriter.open(exchange, directive, error_frame)
        is_whole = await writer.send(first)
        async for frame in frames:
            if not is_whole:
                break
            is_whole = await writer.send(frame)
        if is_whole and await writer.goes_on():
            await writer.write(b"data: [DONE]\n\n")
    await writer.response.write_eof()
    return writer.response


class StreamWriter:
    """One stream under way."""

    def __init__(
        self,
        exchange: Exchange,
        directive: Directive,
        error_frame: dict[str, Any],
        response: web.StreamResponse,
    ) -> None:
        self.response = response
        self._exchange = exchange
        self._record = exchange.record
        self._directive = directive
        self._error_frame = error_frame
        self._frames_sent = 0
        self._has_stalled = False
        self._first_chunk_at: float | None = None

    @classmethod
    async def open(
        cls, exchange: Exchange, directive: Directive, error_frame: dict[str, Any]
    ) -> "StreamWriter":
        response = web.StreamResponse(headers=exchange.headers())
        response.headers["Content-Type"] = exchange.content_type or "text/event-stream"
        response.headers["Cache-Control"] = "no-cache"
        exchange.record.status = 200
        await response.prepare(exchange.request)
        return cls(exchange, directive, error_frame, response)

    async def send(self, frame: Frame) -> bool:
        """Write one frame when it is due. False: a fault has ended the stream."""
        if not await self.goes_on():
            return False
        if frame.is_chunk:
            await self._wait_for_pace()
        event = b"data: " + orjson.dumps(frame.data) + b"\n\n"
        if frame.is_chunk and self._directive.truncated_json:
            self._record.end(End.FAULT)
            await self.write(event[: len(event) // 2])
            return False
        await self.write(event)
        if frame.is_chunk:
            self._record.chunks_sent += 1
        self._record.tokens_sent += frame.tokens
        return True

    async def goes_on(self) -> bool:
        """Play the faults due after the chunks sent so far. False: the stream is over."""
        sent, directive = self._record.chunks_sent, self._directive
        if directive.stall_after == sent and not self._has_stalled:
            self._has_stalled = True
            if directive.stall_s is None:
                await wait_for_client_to_leave()
            await asyncio.sleep(directive.stall_s or 0)
        if directive.cut_after == sent:
            self._record.end(End.FAULT)
            await break_off(self._exchange.request)
        if directive.error_frame_after == sent:
            self._record.end(End.FAULT)
            await self.write(b"data: " + orjson.dumps(self._error_frame) + b"\n\n")
            return False
        if directive.end_after == sent:
            self._record.end(End.FAULT)
            return False
        return True

    async def write(self, event: bytes) -> None:
        await self.response.write(event)
        self._frames_sent += 1
        if self._frames_sent % FRAMES_IN_A_ROW == 0:
            await asyncio.sleep(0)

    async def _wait_for_pace(self) -> None:
        """Wait until the next chunk is due, counted from the first so that delays don't add up."""
        if not self._directive.chunk_s:
            return
        now = time.monotonic()
        if self._first_chunk_at is None:
            self._first_chunk_at = now
            return
        due_at = self._first_chunk_at + self._record.chunks_sent * self._directive.chunk_s
        if due_at > now:
            await asyncio.sleep(due_at - now)
