"""chat.completion and text_completion objects and chunks, as vLLM gives them."""

import time
import uuid
from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing
from typing import Any

from sandbox.workers_ai.chat.answers import Answer, Part, PartKind
from sandbox.workers_ai.chat.logprobs import chat_logprobs, text_logprobs
from sandbox.workers_ai.chat.openai import joined, openai_tool_calls, tool_call_id
from sandbox.workers_ai.script import Directive
from sandbox.workers_ai.streams import Frame
from sandbox.workers_ai.usage import Usage

JsonObject = dict[str, Any]


class CompletionForm:
    """What all objects of one answer have in common."""

    def __init__(
        self,
        model_id: str,
        *,
        is_text: bool,
        fingerprint: str,
        directive: Directive,
        alternatives: int | None = None,
    ) -> None:
        self._is_text = is_text
        self._alternatives = alternatives
        self._directive = directive
        name = "cmpl" if is_text else "chatcmpl"
        self._head: JsonObject = {
            "id": f"{name}-{uuid.uuid4().hex}",
            "created": int(time.time()),
            "model": model_id,
            "system_fingerprint": fingerprint,
        }

    def completion(self, choices: list[list[Part]], usage: Usage) -> JsonObject:
        body = {
            **self._head,
            "object": "text_completion" if self._is_text else "chat.completion",
            "choices": [self._choice(i, parts) for i, parts in enumerate(choices)],
        }
        if not self._directive.no_usage:
            body["usage"] = usage.as_json()
        return body

    def _choice(self, index: int, parts: list[Part]) -> JsonObject:
        content = joined(parts, PartKind.CONTENT)
        tail = {"logprobs": self._logprobs(parts), "finish_reason": self._finish(parts[-1].finish)}
        if self._is_text:
            return {"index": index, "text": content, **tail}
        calls, reasoning = openai_tool_calls(parts), joined(parts, PartKind.REASONING)
        message: JsonObject = {"role": "assistant", "content": content}
        if not content and (calls or reasoning):
            message["content"] = None
        if reasoning:
            message["reasoning_content"] = reasoning
        if calls:
            message["tool_calls"] = calls
        return {"index": index, "message": message, **tail}

    async def frames(
        self,
        answers: list[Answer],
        choices_each: int,
        totals: Callable[[int], Usage],
        *,
        include_usage: bool,
    ) -> AsyncGenerator[Frame, None]:
        """The choices one after the other; usage in a last chunk, if it was asked for."""
        tokens, index = 0, 0
        for answer in answers:
            for number in range(choices_each):
                if not self._is_text:
                    opening = {"role": "assistant", "content": ""}
                async with aclosing(answer.parts(number)) as parts:
                    is_open = self._is_text
                    async for part in parts:
                        if not is_open:
                            # After the first part is there: what fails until then is no stream.
                            yield Frame(self._chunk(index, opening, None))
                            is_open = True
                        tokens += part.tokens
                        for frame in self._part_frames(index, part):
                            yield frame
                index += 1
        if include_usage and not self._directive.no_usage:
            yield Frame({**self._chunk_head(), "choices": [], "usage": totals(tokens).as_json()})

    def _part_frames(self, index: int, part: Part) -> list[Frame]:
        finish = self._finish(part.finish)
        if not part.text and not finish:
            return []
        if self._is_text:
            told = {"logprobs": self._logprobs([part]), "finish_reason": finish}
            choice = {"index": index, "text": part.text, **told}
            data = {**self._chunk_head(), "choices": [choice]}
        else:
            data = self._chunk(index, self._delta(part), finish, self._logprobs([part]))
        return [Frame(data, is_chunk=bool(part.text), tokens=part.tokens)]

    def _delta(self, part: Part) -> JsonObject:
        match part.kind:
            case PartKind.TOOL_NAME:
                head = {"index": part.call, "id": tool_call_id(), "type": "function"}
                return {"tool_calls": [{**head, "function": {"name": part.text, "arguments": ""}}]}
            case PartKind.TOOL_ARGUMENTS:
                return {"tool_calls": [{"index": part.call, "function": {"arguments": part.text}}]}
            case PartKind.REASONING:
                return {"reasoning_content": part.text}
            case _:
                return {"content": part.text} if part.text else {}

    def _logprobs(self, parts: list[Part]) -> JsonObject | None:
        told = text_logprobs if self._is_text else chat_logprobs
        return told(parts, self._alternatives)

    def _chunk(
        self, index: int, delta: JsonObject, finish: str | None, logprobs: JsonObject | None = None
    ) -> JsonObject:
        choice = {"index": index, "delta": delta, "logprobs": logprobs, "finish_reason": finish}
        return {**self._chunk_head(), "choices": [choice]}

    def _chunk_head(self) -> JsonObject:
        kind = "text_completion" if self._is_text else "chat.completion.chunk"
        return {**self._head, "object": kind}

    def _finish(self, finish: str | None) -> str | None:
        return finish and (self._directive.finish_reason or finish)
