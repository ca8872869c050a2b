"""What a chat call is answered with: a sequence of parts, scripted or from the local model."""

from collections.abc import AsyncGenerator
from contextlib import aclosing
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Any, Protocol

from sandbox.workers_ai.chat.inputs import ChatCall
from sandbox.workers_ai.errors import JsonModeFailedError, LocalModelRefusedError
from sandbox.workers_ai.exchange import REAL_TEXT_FINGERPRINT, SCRIPTED_FINGERPRINT
from sandbox.workers_ai.local_model import ChatTurn, LocalModel, Sampling
from sandbox.workers_ai.schemas import bounded
from sandbox.workers_ai.script import ScriptedCall
from sandbox.workers_ai.tokens import TextPiece, Vocabulary, text_pieces

# How long the local model thinks aloud, in tokens, by `reasoning_effort`.
THINKING_TOKENS = {"low": 16, "medium": 32, "high": 64}

REPLACEMENT_CHARACTER = "\ufffd"


class PartKind(StrEnum):
    REASONING = "reasoning"
    CONTENT = "content"
    TOOL_NAME = "tool_name"
    TOOL_ARGUMENTS = "tool_arguments"


@dataclass(frozen=True, slots=True)
class Part:
    """A step of an answer. The last one of a choice says why it ended (`finish`).

    call: which tool call the part belongs to, from 0. matched: the stop sequence that ended it.
    logprobs: as llama.cpp tells them, one for each token; None of a script.
    """

    kind: PartKind
    text: str
    tokens: int
    call: int = 0
    finish: str | None = None
    matched: str | None = None
    logprobs: tuple[dict[str, Any], ...] | None = None

    @property
    def matched_stop(self) -> str | None:
        return self.matched if self.finish == "stop" else None


class Answer(Protocol):
    """An answer, choice by choice."""

    fingerprint: str

    def parts(self, choice: int) -> AsyncGenerator[Part, None]: ...


class PreparedAnswer:
    """All parts are known beforehand; every choice is the same."""

    def __init__(self, parts: list[Part], fingerprint: str = SCRIPTED_FINGERPRINT) -> None:
        self.fingerprint = fingerprint
        self.all_parts = parts

    async def parts(self, choice: int) -> AsyncGenerator[Part, None]:
        for part in self.all_parts:
            yield part


class GeneratedAnswer:
    """The local model's text, as it comes."""

    fingerprint = REAL_TEXT_FINGERPRINT

    def __init__(self, local_model: LocalModel, call: ChatCall, *, max_tokens: int) -> None:
        self._local_model = local_model
        self._call = call
        self._max_tokens = max_tokens

    async def parts(self, choice: int) -> AsyncGenerator[Part, None]:
        try:
            async with aclosing(self._parts(choice)) as parts:
                async for part in parts:
                    yield part
        except LocalModelRefusedError as error:
            if self._call.json_schema is None:
                raise
            raise JsonModeFailedError from error

    async def _parts(self, choice: int) -> AsyncGenerator[Part, None]:
        left = self._max_tokens
        async with aclosing(self._thoughts(choice)) as thoughts:
            async for part in thoughts:
                left -= part.tokens
                yield part
                if part.finish:
                    return
        async with aclosing(
            self._local_model.generate(
                self._call.turns(), max_tokens=left, sampling=self._sampling(choice)
            )
        ) as steps:
            async for step in steps:
                yield Part(
                    PartKind.CONTENT,
                    step.text,
                    step.tokens,
                    finish=step.finish,
                    logprobs=step.logprobs,
                )

    async def _thoughts(self, choice: int) -> AsyncGenerator[Part, None]:
        """Thinking aloud, where the model can and the call asks for it by `reasoning_effort`."""
        call = self._call
        wanted = THINKING_TOKENS.get(call.reasoning_effort or "", 0)
        if not wanted or call.model.native or not call.model.has_reasoning:
            return
        turns = [
            *call.turns(),
            ChatTurn("user", "Before you answer, think aloud in one sentence."),
        ]
        left = self._max_tokens
        sampling = replace(self._sampling(choice), schema=None, stop=(), alternatives=None)
        async with aclosing(
            self._local_model.generate(turns, max_tokens=min(wanted, left), sampling=sampling)
        ) as steps:
            async for step in steps:
                left -= step.tokens
                ended = "length" if left <= 0 and step.finish else None
                yield Part(PartKind.REASONING, step.text, step.tokens, finish=ended)

    def _sampling(self, choice: int) -> Sampling:
        call = self._call
        seed = None if call.seed is None else call.seed + choice
        return Sampling(
            temperature=call.temperature,
            top_p=call.top_p,
            seed=seed,
            stop=call.stop,
            schema=bounded(call.json_schema),
            is_raw=call.is_prompt and call.is_raw,
            alternatives=call.alternatives,
        )


async def content_parts(vocabulary: Vocabulary, text: str) -> list[Part]:
    return _as_parts(PartKind.CONTENT, await text_pieces(vocabulary, text))


async def reasoning_parts(vocabulary: Vocabulary, text: str) -> list[Part]:
    return _as_parts(PartKind.REASONING, await text_pieces(vocabulary, text))


def word_parts(words: int) -> list[Part]:
    """ "tok1 tok2 …", each word counted as exactly one token whatever the vocabulary says."""
    return [
        Part(PartKind.CONTENT, f"tok{i}" if i == 1 else f" tok{i}", 1) for i in range(1, words + 1)
    ]


async def tool_call_parts(vocabulary: Vocabulary, calls: tuple[ScriptedCall, ...]) -> list[Part]:
    """Each call's name (all its tokens at once), then its arguments token by token."""
    parts: list[Part] = []
    for number, call in enumerate(calls):
        parts.append(Part(PartKind.TOOL_NAME, call.name, vocabulary.count(call.name), call=number))
        arguments = await text_pieces(vocabulary, call.arguments)
        parts += _as_parts(PartKind.TOOL_ARGUMENTS, arguments, call=number)
    return parts


def _as_parts(kind: PartKind, pieces: list[TextPiece], call: int = 0) -> list[Part]:
    return [Part(kind, piece.text, piece.tokens, call=call) for piece in pieces]


def stopped(parts: list[Part], stops: tuple[str, ...]) -> list[Part]:
    """The parts up to the first stop sequence in the content, which itself is left out.

    The last part has no text, and tells which one it was.
    """
    content = "".join(part.text for part in parts if part.kind is PartKind.CONTENT)
    found = [(at, stop) for stop in stops if (at := content.find(stop)) >= 0]
    if not found:
        return parts
    room, matched = min(found)
    kept: list[Part] = []
    for part in parts:
        if part.kind is PartKind.CONTENT:
            if not room:
                break
            part = replace(part, text=part.text[:room])
            room -= len(part.text)
        kept.append(part)
    return [*kept, Part(PartKind.CONTENT, "", 0, matched=matched)]


def finished(parts: list[Part], *, max_tokens: int) -> list[Part]:
    """The parts that `max_tokens` leaves room for, the last of them saying why they end.

    A character that needs more tokens than are left comes out broken, as from a real engine.
    """
    kept: list[Part] = []
    left = max_tokens
    for part in parts:
        if part.tokens > left:
            if left and part.kind in (PartKind.CONTENT, PartKind.REASONING):
                kept.append(replace(part, text=REPLACEMENT_CHARACTER, tokens=left))
            left = 0
            break
        kept.append(part)
        left -= part.tokens
    has_calls = any(part.kind is PartKind.TOOL_NAME for part in kept)
    finish = "length" if left == 0 else "tool_calls" if has_calls else "stop"
    if not kept:
        return [Part(PartKind.CONTENT, "", 0, finish=finish)]
    return [*kept[:-1], replace(kept[-1], finish=finish)]
