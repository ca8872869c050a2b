"""An answer's blocks as Anthropic's content blocks, and the events of their stream."""

from collections.abc import Iterator
from dataclasses import replace
from enum import Enum
from typing import Any

import orjson

from inference.chat.blocks import AnswerBlocks, Block, Kind, Step
from inference.chat.events import Delta

# Where Anthropic's documents put what a model wrote in the place of a tool's input.
_INVALID_JSON = "INVALID_JSON"


class Thoughts(Enum):
    """What the client reads of the model's thinking: nothing, that it took place, or all."""

    HIDDEN = "hidden"
    OMITTED = "omitted"
    SHOWN = "shown"


class Blocks:
    """`add` what comes; then take the `objects`, or the `steps` of a stream so far.

    signature: what a thinking block is signed with. Clients send it back and we do not read
    it, but some leave out a block without one.
    """

    def __init__(self, *, thoughts: Thoughts, signature: str) -> None:
        self.thoughts = thoughts
        self.signature = signature
        self._answer = AnswerBlocks()

    @property
    def has_tool_use(self) -> bool:
        return self._answer.has_calls

    def objects(self) -> list[dict[str, Any]]:
        return [self._object(block) for block in self._answer.blocks]

    def add(self, delta: Delta) -> None:
        """A refusal is text here."""
        reasoning = "" if self.thoughts is Thoughts.HIDDEN else delta.reasoning
        text = delta.content + delta.refusal
        self._answer.add(replace(delta, reasoning=reasoning, content=text, refusal=""))

    def steps(self, *, is_last: bool = False) -> Iterator[dict[str, Any]]:
        """What a stream can tell now. is_last: nothing more will be added."""
        for step in self._answer.steps(is_last=is_last):
            yield from self._events(step)

    def _events(self, step: Step) -> Iterator[dict[str, Any]]:
        block, is_thinking = step.block, step.block.kind is Kind.THINKING
        if step.what == "begin":
            head = _head(block)
            yield {"type": "content_block_start", "index": block.index, "content_block": head}
        elif step.what == "piece":
            if not is_thinking or self.thoughts is Thoughts.SHOWN:
                yield _delta(block, _piece(block, step.piece.text))
        else:
            if is_thinking:
                yield _delta(block, {"type": "signature_delta", "signature": self.signature})
            yield {"type": "content_block_stop", "index": block.index}

    def _object(self, block: Block) -> dict[str, Any]:
        if block.kind is Kind.THINKING:
            shown = block.text if self.thoughts is Thoughts.SHOWN else ""
            return {**_head(block), "thinking": shown, "signature": self.signature}
        if block.kind is Kind.CALL:
            return {**_head(block), "input": _input(block.text)}
        return {**_head(block), "text": block.text}


def _head(block: Block) -> dict[str, Any]:
    """Without its content, as a stream begins it."""
    if block.kind is Kind.THINKING:
        return {"type": "thinking", "thinking": "", "signature": ""}
    if block.kind is not Kind.CALL:
        return {"type": "text", "text": ""}
    return {
        "type": "tool_use",
        "id": block.call_id,
        "name": block.name,
        "input": {},
        # By the model, and not by code that it wrote.
        "caller": {"type": "direct"},
    }


def _delta(block: Block, delta: dict[str, Any]) -> dict[str, Any]:
    return {"type": "content_block_delta", "index": block.index, "delta": delta}


def _piece(block: Block, piece: str) -> dict[str, Any]:
    if block.kind is Kind.THINKING:
        return {"type": "thinking_delta", "thinking": piece}
    if block.kind is Kind.CALL:
        return {"type": "input_json_delta", "partial_json": piece}
    return {"type": "text_delta", "text": piece}


def _input(text: str) -> Any:
    """Always an object: as the model wrote it, or around what it wrote instead."""
    if not text.strip():
        return {}
    try:
        found = orjson.loads(text)
    except orjson.JSONDecodeError:
        found = None
    return orjson.Fragment(text) if isinstance(found, dict) else {_INVALID_JSON: text}
