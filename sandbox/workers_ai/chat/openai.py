"""OpenAI's form: chat.completion objects and chunks, as Workers AI gives them.

Not quite as OpenAI does: `usage` on each chunk is an increment, a chunk without choices carries
zeros, and the totals come in a frame of the native form.
"""

import time
import uuid
from collections.abc import AsyncGenerator
from contextlib import aclosing
from typing import Any

from sandbox.workers_ai.catalogue import Model
from sandbox.workers_ai.chat.answers import Answer, Part, PartKind
from sandbox.workers_ai.chat.inputs import ChatCall, Surface
from sandbox.workers_ai.chat.logprobs import chat_logprobs, text_logprobs
from sandbox.workers_ai.chat.native import Totals, terminal_frame
from sandbox.workers_ai.script import Directive
from sandbox.workers_ai.streams import Frame, padding
from sandbox.workers_ai.usage import Usage

JsonObject = dict[str, Any]


class OpenAIForm:
    """One call's answer in OpenAI's form: what all its chunks have in common."""

    def __init__(self, call: ChatCall, answer: Answer, directive: Directive) -> None:
        self._call = call
        self._answer = answer
        self._directive = directive
        self._is_text_completion = call.is_prompt
        self._lacks_index = lacks_choice_index(call.model)
        now = time.time()
        self._head: JsonObject = {
            "id": f"chatcmpl-{uuid.uuid4().hex}",
            "object": "chat.completion",
            "created": int(now),
            "model": call.model.published_id,
        }
        if call.model.native and call.surface is Surface.V1:
            self._head["id"] = f"id-{int(now * 1000)}"
        if self._is_text_completion:
            self._head |= {"id": f"cmpl-{uuid.uuid4().hex}", "object": "text_completion"}

    # --- one JSON object ---------------------------------------------------------------------

    def completion(self, choices: list[list[Part]], usage: Usage) -> JsonObject:
        body = {
            **self._head,
            "choices": [self._choice(i, parts) for i, parts in enumerate(choices)],
        }
        if not self._directive.no_usage:
            body["usage"] = usage.as_json()
        body["system_fingerprint"] = self._answer.fingerprint
        return body

    def _choice(self, index: int, parts: list[Part]) -> JsonObject:
        content = joined(parts, PartKind.CONTENT)
        tail = {
            "logprobs": self._logprobs(parts),
            "finish_reason": self._finish(parts[-1].finish),
            **_matched(parts[-1]),
        }
        if self._is_text_completion:
            return {"index": index, "text": content, **tail}
        calls = openai_tool_calls(parts)
        message: JsonObject = {"role": "assistant", "content": content}
        reasoning = joined(parts, PartKind.REASONING)
        if not content and (calls or reasoning):
            message["content"] = None
        if reasoning or (self._call.model.has_reasoning and not self._call.model.native):
            message[self._call.model.reasoning_field] = reasoning or None
        message["tool_calls"] = calls
        return {"index": index, "message": message, **tail}

    # --- chunks ------------------------------------------------------------------------------

    async def frames(self, prompt_tokens: int, totals: Totals) -> AsyncGenerator[Frame, None]:
        """The choices one after the other, then zeros, then the totals."""
        completion_tokens = 0
        for index in range(self._call.choices):
            async with aclosing(self._answer.parts(index)) as parts:
                is_open = False
                async for part in parts:
                    if not is_open:
                        # After the first part is there: what fails until then is no stream yet.
                        yield self._opening(index, prompt_tokens if index == 0 else 0)
                        is_open = True
                    completion_tokens += part.tokens
                    for frame in self._part_frames(index, part):
                        yield frame
        if not self._directive.no_usage:
            yield Frame(self._chunk([], usage=increment(0, 0)))
        if not self._directive.no_terminal_frame:
            yield terminal_frame(totals(completion_tokens), self._answer.fingerprint)

    def _opening(self, index: int, prompt_tokens: int) -> Frame:
        """The chunk with the role, and with the prompt's tokens."""
        if self._is_text_completion:
            choice: JsonObject = {"index": index, "text": "", "finish_reason": None}
        else:
            choice = {
                "index": index,
                "delta": {"role": "assistant", "content": ""},
                "logprobs": None,
                "finish_reason": None,
                "matched_stop": None,
            }
        return Frame(self._chunk([choice], usage=increment(prompt_tokens, 0), padded=True))

    def _part_frames(self, index: int, part: Part) -> list[Frame]:
        finish = self._finish(part.finish)
        frames = []
        if part.kind is PartKind.TOOL_NAME:
            function = {"name": part.text, "arguments": ""}
            head = {"id": tool_call_id(), "type": "function", "function": function}
            delta = {"tool_calls": [{"index": part.call, **head}]}
            frames.append(self._delta_frame(index, delta, part, finish=None))
        elif part.kind is PartKind.TOOL_ARGUMENTS:
            delta = {"tool_calls": [{"index": part.call, "function": {"arguments": part.text}}]}
            frames.append(self._delta_frame(index, delta, part, finish=None))
        elif part.text or part.finish:
            frames.append(self._delta_frame(index, self._text_delta(part), part, finish=finish))
            if self._directive.null_chunks:
                nothing = Part(part.kind, "", 0)
                frames.append(self._delta_frame(index, {"content": None}, nothing, finish=None))
        if finish and part.kind in (PartKind.TOOL_NAME, PartKind.TOOL_ARGUMENTS):
            frames.append(self._closing_frame(index, part, finish))
        return frames

    def _text_delta(self, part: Part) -> JsonObject:
        if not part.text:
            return {}
        if part.kind is PartKind.REASONING:
            return {self._call.model.reasoning_field: part.text}
        return {"content": part.text}

    def _closing_frame(self, index: int, part: Part, finish: str) -> Frame:
        """After tool calls comes a chunk that names no call and gives the finish reason."""
        nobody = {"id": None, "type": None, "function": {"name": None, "arguments": ""}}
        delta = {"tool_calls": [{"index": part.call, **nobody}]}
        return self._delta_frame(index, delta, Part(part.kind, "", 0), finish=finish)

    def _delta_frame(
        self, index: int, delta: JsonObject, part: Part, *, finish: str | None
    ) -> Frame:
        if self._is_text_completion:
            choice: JsonObject = {"index": index, "text": part.text, "finish_reason": finish}
        else:
            choice = {"index": index, "delta": delta, "finish_reason": finish}
        if logprobs := self._logprobs([part]):
            choice["logprobs"] = logprobs
        choice |= _matched(part)
        chunk = self._chunk([choice], usage=increment(0, part.tokens), padded=True)
        return Frame(chunk, is_chunk=bool(part.text), tokens=part.tokens)

    def _chunk(
        self, choices: list[JsonObject], *, usage: JsonObject, padded: bool = False
    ) -> JsonObject:
        if self._lacks_index:
            for choice in choices:
                del choice["index"]
        chunk = {**self._head, "choices": choices}
        if not self._is_text_completion:
            chunk["object"] = "chat.completion.chunk"
        if not self._directive.no_usage:
            chunk["usage"] = usage
        chunk["system_fingerprint"] = self._answer.fingerprint
        if padded:
            chunk["p"] = padding()
        return chunk

    def _logprobs(self, parts: list[Part]) -> JsonObject | None:
        """Chunks of a text completion would need the offset so far: theirs begins at 0."""
        wanted = self._call.alternatives
        told = text_logprobs if self._is_text_completion else chat_logprobs
        return told(parts, wanted)

    def _finish(self, finish: str | None) -> str | None:
        return finish and (self._directive.finish_reason or finish)


def _matched(part: Part) -> JsonObject:
    """As SGLang tells which stop sequence ended a choice."""
    return {"matched_stop": part.matched_stop} if part.matched_stop else {}


def joined(parts: list[Part], kind: PartKind) -> str:
    return "".join(part.text for part in parts if part.kind is kind)


def increment(prompt_tokens: int, completion_tokens: int) -> JsonObject:
    return {
        "prompt_tokens": prompt_tokens,
        "completion_tokens": completion_tokens,
        "total_tokens": prompt_tokens + completion_tokens,
    }


def openai_tool_calls(parts: list[Part]) -> list[JsonObject]:
    calls: list[JsonObject] = []
    for part in parts:
        if part.kind is PartKind.TOOL_NAME:
            function = {"name": part.text, "arguments": ""}
            calls.append({"id": tool_call_id(), "type": "function", "function": function})
        elif part.kind is PartKind.TOOL_ARGUMENTS:
            calls[-1]["function"]["arguments"] += part.text
    return calls


def tool_call_id() -> str:
    return f"chatcmpl-tool-{uuid.uuid4().hex}"


def lacks_choice_index(model: Model) -> bool:
    """Streams of the older Llama models in OpenAI's form have no `choices[].index`."""
    return model.native and "/llama-" in model.id and "/llama-4" not in model.id
