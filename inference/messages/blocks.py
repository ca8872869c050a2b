"""An answer's events as Anthropic's content blocks: one after the other, each with an end.

Upstream may mix what it sends; a client of Anthropic's reads one block at a time. So a block
is written while it comes, and one that begins before it is complete waits.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from enum import Enum
from typing import Any, Literal

import orjson

from inference.chat.events import Delta

Step = dict[str, Any]
# Where Anthropic's documents put what a model wrote in the place of a tool's input.
_INVALID_JSON = "INVALID_JSON"


class Thoughts(Enum):
    """What the client reads of the model's thinking: nothing, that it took place, or all."""

    HIDDEN = "hidden"
    OMITTED = "omitted"
    SHOWN = "shown"


@dataclass(slots=True)
class Block:
    """`pieces`: its text so far; of a tool_use, its input as JSON."""

    kind: Literal["thinking", "text", "tool_use"]
    call_id: str = ""
    name: str = ""
    pieces: list[str] = field(default_factory=list)
    written: int = 0
    is_open: bool = False

    @property
    def text(self) -> str:
        return "".join(self.pieces)

    @property
    def is_whole(self) -> bool:
        """Of a block after which another one has begun: whether nothing more will come."""
        if self.kind != "tool_use":
            return True
        try:
            orjson.loads(self.text)
        except orjson.JSONDecodeError:
            return False
        return True

    def head(self) -> dict[str, Any]:
        """Without its content, as a stream begins it."""
        if self.kind == "thinking":
            return {"type": "thinking", "thinking": "", "signature": ""}
        if self.kind == "text":
            return {"type": "text", "text": ""}
        return {
            "type": "tool_use",
            "id": self.call_id,
            "name": self.name,
            "input": {},
            # By the model, and not by code that it wrote.
            "caller": {"type": "direct"},
        }

    def object(self, *, signature: str) -> dict[str, Any]:
        if self.kind == "thinking":
            return {**self.head(), "thinking": self.text, "signature": signature}
        if self.kind == "text":
            return {**self.head(), "text": self.text}
        return {**self.head(), "input": _input(self.text)}


class Blocks:
    """`add` what comes; then take the blocks, or the `steps` of a stream so far.

    signature: what a thinking block is signed with. Clients send it back and we do not read
    it, but some leave out a block without one.
    """

    def __init__(self, *, thoughts: Thoughts, signature: str) -> None:
        self.thoughts = thoughts
        self.signature = signature
        self.blocks: list[Block] = []
        self._calls: dict[int, Block] = {}
        self._done = 0
        self._blank = ""

    @property
    def has_tool_use(self) -> bool:
        return bool(self._calls)

    def objects(self) -> list[dict[str, Any]]:
        return [block.object(signature=self.signature) for block in self.blocks]

    def add(self, delta: Delta) -> None:
        if delta.reasoning and self.thoughts is not Thoughts.HIDDEN:
            shown = delta.reasoning if self.thoughts is Thoughts.SHOWN else ""
            self._block_of("thinking").pieces.append(shown)
        if text := delta.content + delta.refusal:
            self._add_text(text)
        for fragment in delta.tool_calls:
            self._add_call(fragment)

    def steps(self, *, is_last: bool = False) -> Iterator[Step]:
        """What a stream can tell now. is_last: nothing more will be added."""
        while self._done < len(self.blocks):
            block, index = self.blocks[self._done], self._done
            if not block.is_open:
                block.is_open = True
                yield {
                    "type": "content_block_start",
                    "index": index,
                    "content_block": block.head(),
                }
            for piece in block.pieces[block.written :]:
                if piece:
                    yield _delta(index, _piece(block, piece))
            block.written = len(block.pieces)
            if not is_last and (block is self.blocks[-1] or not block.is_whole):
                return
            if block.kind == "thinking":
                signed = {"type": "signature_delta", "signature": self.signature}
                yield _delta(index, signed)
            yield {"type": "content_block_stop", "index": index}
            self._done += 1

    def _block_of(self, kind: Literal["thinking", "text"]) -> Block:
        """The last block, if it is of this kind, or a new one."""
        if not self.blocks or self.blocks[-1].kind != kind:
            self._blank = ""
            self.blocks.append(Block(kind))
        return self.blocks[-1]

    def _add_text(self, text: str) -> None:
        """White space alone makes no block: models write it before a call, and Anthropic's
        clients do not expect such a block."""
        if not self.blocks or self.blocks[-1].kind != "text":
            text = self._blank + text
            if not text.strip():
                self._blank = text
                return
        self._block_of("text").pieces.append(text)

    def _add_call(self, fragment: dict[str, Any]) -> None:
        block = self._calls.get(fragment["index"])
        if block is None:
            self._blank = ""
            function = fragment["function"]
            block = Block("tool_use", call_id=fragment["id"], name=function["name"])
            self._calls[fragment["index"]] = block
            self.blocks.append(block)
        block.pieces.append(fragment["function"]["arguments"])


def _delta(index: int, delta: dict[str, Any]) -> Step:
    return {"type": "content_block_delta", "index": index, "delta": delta}


def _piece(block: Block, piece: str) -> dict[str, Any]:
    if block.kind == "thinking":
        return {"type": "thinking_delta", "thinking": piece}
    if block.kind == "text":
        return {"type": "text_delta", "text": piece}
    return {"type": "input_json_delta", "partial_json": piece}


def _input(text: str) -> Any:
    """Always an object: as the model wrote it, or around what it wrote instead."""
    if not text.strip():
        return {}
    try:
        found = orjson.loads(text)
    except orjson.JSONDecodeError:
        found = None
    return orjson.Fragment(text) if isinstance(found, dict) else {_INVALID_JSON: text}
