"""An answer's events as blocks: one after the other, each with an end.

Upstream may mix what it sends; clients of Anthropic's Messages and of OpenAI's Responses read one
block at a time. So a block is told while it comes, and one that begins before it is complete waits.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, Literal, NamedTuple

import orjson

from inference.chat.events import Delta


class Kind(StrEnum):
    THINKING = "thinking"
    TEXT = "text"
    REFUSAL = "refusal"
    CALL = "call"


class Piece(NamedTuple):
    """logprobs: OpenAI's, of its tokens, where they were asked for."""

    text: str
    logprobs: tuple[dict[str, Any], ...] = ()


@dataclass(slots=True)
class Block:
    """`pieces`: its text so far; of a tool's call, its arguments as JSON."""

    kind: Kind
    index: int
    call_id: str = ""
    name: str = ""
    pieces: list[Piece] = field(default_factory=list)
    told: int = 0
    is_open: bool = False

    @property
    def text(self) -> str:
        return "".join(piece.text for piece in self.pieces)

    @property
    def is_whole(self) -> bool:
        """Of a block after which another one has begun: whether nothing more will come."""
        if self.kind is not Kind.CALL:
            return True
        try:
            orjson.loads(self.text)
        except orjson.JSONDecodeError:
            return False
        return True


class Step(NamedTuple):
    """What a stream tells next of a block; piece: of a "piece"."""

    what: Literal["begin", "piece", "end"]
    block: Block
    piece: Piece = Piece("")


class AnswerBlocks:
    """`add` what comes; then take the blocks, or the `steps` of a stream so far."""

    def __init__(self) -> None:
        self.blocks: list[Block] = []
        self._calls: dict[int, Block] = {}
        self._done = 0
        self._blank = ""

    @property
    def has_calls(self) -> bool:
        return bool(self._calls)

    def add(self, delta: Delta) -> None:
        if delta.reasoning:
            self._block_of(Kind.THINKING).pieces.append(Piece(delta.reasoning))
        if delta.content:
            self._add_text(Piece(delta.content, _logprobs(delta.logprobs)))
        if delta.refusal:
            self._block_of(Kind.REFUSAL).pieces.append(Piece(delta.refusal))
        for fragment in delta.tool_calls:
            self._add_call(fragment)

    def steps(self, *, is_last: bool = False) -> Iterator[Step]:
        """What a stream can tell now. is_last: nothing more will be added."""
        while self._done < len(self.blocks):
            block = self.blocks[self._done]
            if not block.is_open:
                block.is_open = True
                yield Step("begin", block)
            for piece in block.pieces[block.told :]:
                if piece.text:
                    yield Step("piece", block, piece)
            block.told = len(block.pieces)
            if not is_last and (block is self.blocks[-1] or not block.is_whole):
                return
            yield Step("end", block)
            self._done += 1

    def _block_of(self, kind: Kind) -> Block:
        """The last block, if it is of this kind, or a new one."""
        if not self.blocks or self.blocks[-1].kind is not kind:
            self._new(kind)
        return self.blocks[-1]

    def _new(self, kind: Kind, *, call_id: str = "", name: str = "") -> Block:
        self._blank = ""
        self.blocks.append(Block(kind, len(self.blocks), call_id, name))
        return self.blocks[-1]

    def _add_text(self, piece: Piece) -> None:
        """White space alone makes no block: models write it before a call, and clients do not
        expect such a block."""
        if not self.blocks or self.blocks[-1].kind is not Kind.TEXT:
            piece = piece._replace(text=self._blank + piece.text)
            if not piece.text.strip():
                self._blank = piece.text
                return
        self._block_of(Kind.TEXT).pieces.append(piece)

    def _add_call(self, fragment: dict[str, Any]) -> None:
        block = self._calls.get(fragment["index"])
        function = fragment["function"]
        if block is None:
            block = self._new(Kind.CALL, call_id=fragment["id"], name=function["name"])
            self._calls[fragment["index"]] = block
        block.pieces.append(Piece(function["arguments"]))


def _logprobs(told: Any) -> tuple[dict[str, Any], ...]:
    content = told.get("content") if isinstance(told, dict) else None
    return tuple(content) if isinstance(content, list) else ()
