"""A model's answer as items, and as the events that tell of them.

The names and the order of events are those of OpenAI's Responses API; so is what stands in them
(its published schema of streaming events, 2026-11).
"""

from collections.abc import Iterator
from typing import Any

from agentflare.ids import random_code, uuid7
from agents.conversations.objects import new_item_id
from inference.chat.blocks import AnswerBlocks, Block, Kind, Piece, Step
from inference.chat.events import Event, Finish

Item = dict[str, Any]
TurnEvent = dict[str, Any]
_TYPES = {
    Kind.THINKING: "reasoning",
    Kind.TEXT: "message",
    Kind.REFUSAL: "message",
    Kind.CALL: "function_call",
}


class OutputWriter:
    """Writes the answers of a turn, one after the other, into `output`, and tells of it.

    Events have no sequence_number yet.
    """

    def __init__(self, output: list[Item]) -> None:
        self.output = output
        self.finish_reason = "stop"
        self._blocks = AnswerBlocks()
        self._items: dict[int, tuple[int, Item]] = {}

    def begin_answer(self) -> None:
        self._blocks = AnswerBlocks()
        self._items = {}
        self.finish_reason = "stop"

    def write(self, event: Event) -> Iterator[TurnEvent]:
        is_last = isinstance(event, Finish)
        if isinstance(event, Finish):
            self.finish_reason = event.reason
        else:
            self._blocks.add(event)
        for step in self._blocks.steps(is_last=is_last):
            yield from self._tell(step)

    def break_off(self) -> None:
        """The answer ends here: what is there of it stays."""
        for _, item in self._items.values():
            if item.get("status") == "in_progress":
                item["status"] = "incomplete"

    def add(self, item: Item) -> Iterator[TurnEvent]:
        """One that is there at once."""
        index = len(self.output)
        self.output.append(item)
        yield {"type": "response.output_item.added", "output_index": index, "item": dict(item)}
        yield {"type": "response.output_item.done", "output_index": index, "item": dict(item)}

    def _tell(self, step: Step) -> Iterator[TurnEvent]:
        if step.what == "begin":
            yield from self._begin(step.block)
            return
        index, item = self._items[step.block.index]
        place = {"item_id": item["id"], "output_index": index}
        if step.what == "piece":
            yield _take_piece(step.block.kind, step.piece, item, place)
        else:
            yield from _end(step.block.kind, item, place)

    def _begin(self, block: Block) -> Iterator[TurnEvent]:
        kind = block.kind
        item: Item = {"id": new_item_id(_TYPES[kind], uuid7()), "type": _TYPES[kind]}
        if kind is Kind.CALL:
            # Upstream's may come again in the next step.
            item |= {"call_id": f"call_{random_code(24)}", "name": block.name, "arguments": ""}
        elif kind is Kind.THINKING:
            item |= {"summary": [], "content": []}
        else:
            item |= {"role": "assistant", "content": []}
        item["status"] = "in_progress"
        index = len(self.output)
        self.output.append(item)
        self._items[block.index] = index, item
        added = dict(item) if kind is Kind.CALL else {**item, "content": []}
        yield {"type": "response.output_item.added", "output_index": index, "item": added}
        if kind is Kind.CALL:
            return
        item["content"].append(_empty_part(kind))
        yield {
            "type": "response.content_part.added",
            "item_id": item["id"],
            "output_index": index,
            "content_index": 0,
            "part": _empty_part(kind),
        }


def _empty_part(kind: Kind) -> dict[str, Any]:
    if kind is Kind.THINKING:
        return {"type": "reasoning_text", "text": ""}
    if kind is Kind.REFUSAL:
        return {"type": "refusal", "refusal": ""}
    return {"type": "output_text", "text": "", "annotations": [], "logprobs": []}


def _take_piece(kind: Kind, piece: Piece, item: Item, place: dict[str, Any]) -> TurnEvent:
    if kind is Kind.CALL:
        item["arguments"] += piece.text
        return {
            "type": "response.function_call_arguments.delta",
            **place,
            "delta": piece.text,
        }
    part = item["content"][0]
    delta = {**place, "content_index": 0, "delta": piece.text}
    if kind is Kind.THINKING:
        part["text"] += piece.text
        return {"type": "response.reasoning_text.delta", **delta}
    if kind is Kind.REFUSAL:
        part["refusal"] += piece.text
        return {"type": "response.refusal.delta", **delta}
    part["text"] += piece.text
    logprobs = [_logprob(each) for each in piece.logprobs]
    part["logprobs"] += logprobs
    return {"type": "response.output_text.delta", **delta, "logprobs": logprobs}


def _end(kind: Kind, item: Item, place: dict[str, Any]) -> Iterator[TurnEvent]:
    item["status"] = "completed"
    if kind is Kind.CALL:
        # Models that need no arguments write none; a client parses them all the same.
        if not item["arguments"].strip():
            item["arguments"] = ""
            yield _take_piece(kind, Piece("{}"), item, place)
        told = {"name": item["name"], "arguments": item["arguments"]}
        yield {"type": "response.function_call_arguments.done", **place, **told}
    else:
        part = item["content"][0]
        place_of_part = {**place, "content_index": 0}
        yield _part_done(kind, part, place_of_part)
        yield {"type": "response.content_part.done", **place_of_part, "part": dict(part)}
    done = dict(item)
    yield {
        "type": "response.output_item.done",
        "output_index": place["output_index"],
        "item": done,
    }


def _part_done(kind: Kind, part: dict[str, Any], place: dict[str, Any]) -> TurnEvent:
    if kind is Kind.THINKING:
        return {"type": "response.reasoning_text.done", **place, "text": part["text"]}
    if kind is Kind.REFUSAL:
        return {"type": "response.refusal.done", **place, "refusal": part["refusal"]}
    return {
        "type": "response.output_text.done",
        **place,
        "text": part["text"],
        "logprobs": part["logprobs"],
    }


def _logprob(told: dict[str, Any]) -> dict[str, Any]:
    """OpenAI's schema requires all of these."""
    return {
        "token": told.get("token", ""),
        "logprob": told.get("logprob", 0.0),
        "bytes": told.get("bytes") or [],
        "top_logprobs": [
            {
                "token": each.get("token", ""),
                "logprob": each.get("logprob", 0.0),
                "bytes": each.get("bytes") or [],
            }
            for each in told.get("top_logprobs") or []
        ],
    }
