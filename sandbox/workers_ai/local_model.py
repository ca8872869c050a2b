"""SmolLM2 through llama.cpp: the source of real text, in a child process of its own."""

import asyncio
import contextlib
import logging
import os
import signal
import sys
from collections.abc import AsyncGenerator
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Any

import aiohttp
import orjson

from sandbox.workers_ai.errors import LocalModelError, LocalModelRefusedError
from sandbox.workers_ai.settings import REPOSITORY

logger = logging.getLogger(__name__)

READY_WITHIN_S = 60
HOPELESS_AFTER_FAILURES = 3
RESTART_DELAYS_S = (0.2, 1, 5, 15)

# Each slot serves one call; prompt and answer share its part of the context.
CONTEXT_TOKENS = 8192
SLOTS = 4
MAX_ANSWER_TOKENS = 1024

# Estimated tokens of a prompt that is sent; the rest of a conversation is left away, because
# reading it takes 6 ms a token.
PROMPT_BUDGET = 640


class State(StrEnum):
    NOT_INSTALLED = "not_installed"
    OFF = "off"
    STARTING = "starting"
    READY = "ready"


@dataclass(frozen=True, slots=True)
class ChatTurn:
    """One message, as plain text."""

    role: str
    text: str


@dataclass(frozen=True, slots=True)
class Generated:
    """What one step gave: text (perhaps none), its tokens, and at the end why it ended.

    logprobs: how likely they were, where `Sampling.alternatives` asks for it.
    """

    text: str
    tokens: int
    finish: str | None = None
    logprobs: tuple[dict[str, Any], ...] = ()


@dataclass(frozen=True, kw_only=True)
class Sampling:
    """How to generate. None leaves it to llama.cpp. is_raw: go on with the text as it stands.

    alternatives: tell how likely each token was, and so many others at its place.
    """

    temperature: float | None = None
    top_p: float | None = None
    seed: int | None = None
    stop: tuple[str, ...] = ()
    schema: dict[str, Any] | None = None
    is_raw: bool = False
    alternatives: int | None = None


class LocalModel:
    """The child process and the calls to it. At most one call per slot; the others wait in turn."""

    def __init__(self, model_file: Path, *, is_wanted: bool) -> None:
        self._model_file = model_file
        self._is_wanted = is_wanted
        self._url: asyncio.Future[str] | None = None
        self._keeper: asyncio.Task[None] | None = None
        self._session: aiohttp.ClientSession | None = None
        self._slots = asyncio.Semaphore(SLOTS)
        self._failures = 0
        self.process: asyncio.subprocess.Process | None = None

    @property
    def state(self) -> State:
        if not self._is_wanted:
            return State.OFF
        if not self._model_file.exists():
            return State.NOT_INSTALLED
        return State.READY if self._url and self._url.done() else State.STARTING

    def start(self) -> None:
        """Begin to load, in the background."""
        self._session = aiohttp.ClientSession(
            # A connection per call: llama.cpp closes kept ones at moments of its own.
            connector=aiohttp.TCPConnector(force_close=True, limit=0),
            timeout=aiohttp.ClientTimeout(total=None, connect=10),
        )
        self._ensure_kept()

    def _ensure_kept(self) -> None:
        """Keep a child from now on, if there is a file; it may have been installed since."""
        if self._keeper is None and self._is_wanted and self._model_file.exists():
            self._url = asyncio.get_running_loop().create_future()
            self._keeper = asyncio.create_task(self._keep_running())

    async def stop(self) -> None:
        if self._keeper is not None:
            self._keeper.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._keeper
        if self._session is not None:
            await self._session.close()

    async def _keep_running(self) -> None:
        """Run the child, again and again if it dies."""
        while True:
            try:
                was_ready = await self._run_once()
            finally:
                self._kill()
            self._url = asyncio.get_running_loop().create_future()
            self._failures = 0 if was_ready else self._failures + 1
            delay_s = RESTART_DELAYS_S[min(self._failures, len(RESTART_DELAYS_S) - 1)]
            logger.warning("the local model's process ended; starting it again in %s s", delay_s)
            await asyncio.sleep(delay_s)

    async def _run_once(self) -> bool:
        """One life of the child. Returns whether it got ready."""
        self.process = await asyncio.create_subprocess_exec(
            sys.executable,
            "-m",
            "sandbox.workers_ai.local_model_process",
            str(self._model_file),
            str(CONTEXT_TOKENS),
            str(SLOTS),
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.DEVNULL,
            cwd=REPOSITORY,
            # Ctrl-C is for us; we end the child.
            start_new_session=True,
        )
        assert self.process.stdout is not None
        url = (await self.process.stdout.readline()).decode().strip()
        if url and self._url is not None:
            self._url.set_result(url)
        await self.process.wait()
        return bool(url)

    def _kill(self) -> None:
        """It holds nothing worth a clean end."""
        if self.process is not None and self.process.returncode is None:
            with contextlib.suppress(ProcessLookupError):
                os.kill(self.process.pid, signal.SIGKILL)

    async def generate(
        self, turns: list[ChatTurn], *, max_tokens: int, sampling: Sampling
    ) -> AsyncGenerator[Generated, None]:
        """Text of the model, token by token; the last item says why it ended.

        The oldest turns are left away when the prompt is too long for the model.
        Closing the generator stops the model. Raises LocalModelError.
        """
        url = await self.ready_url()
        async with self._slots:
            budget = PROMPT_BUDGET
            while True:
                payload = chat_payload(fit(turns, budget), max_tokens, sampling)
                try:
                    async with contextlib.aclosing(self._stream(url, payload)) as steps:
                        async for step in steps:
                            yield step
                    return
                except PromptTooLongError:
                    # The estimate was too low for this text. Nothing was generated yet.
                    budget //= 2
                    if budget < 20:
                        raise LocalModelError("the prompt does not fit the local model") from None

    async def generate_text(
        self, turns: list[ChatTurn], *, max_tokens: int, sampling: Sampling
    ) -> tuple[str, str]:
        """The whole text and why it ended. Raises LocalModelError."""
        text, finish = "", "stop"
        async with contextlib.aclosing(
            self.generate(turns, max_tokens=max_tokens, sampling=sampling)
        ) as steps:
            async for step in steps:
                text += step.text
                finish = step.finish or finish
        return text, finish

    async def ready_url(self) -> str:
        """The child's URL, once it is ready. Raises LocalModelError if it will not be."""
        self._ensure_kept()
        if self._url is None:
            raise LocalModelError(
                "the sandbox's local model is not installed "
                f"(no file {self._model_file.name}). Run `make run` once to install it, "
                "or answer with a [[sandbox {…}]] directive."
            )
        if self._failures >= HOPELESS_AFTER_FAILURES:
            raise LocalModelError("the sandbox's local model does not start")
        try:
            return await asyncio.wait_for(asyncio.shield(self._url), READY_WITHIN_S)
        except TimeoutError as error:
            raise LocalModelError("the sandbox's local model did not start in time") from error

    async def _stream(self, url: str, payload: dict[str, Any]) -> AsyncGenerator[Generated, None]:
        assert self._session is not None
        try:
            async with self._session.post(
                f"{url}/v1/{'completions' if 'prompt' in payload else 'chat/completions'}",
                data=orjson.dumps(payload),
                headers={"Content-Type": "application/json"},
            ) as response:
                if response.status != 200:
                    raise error_from(response.status, await response.read())
                async for step in read_steps(response.content):
                    yield step
        except (aiohttp.ClientError, ConnectionError) as error:
            raise LocalModelError(f"the sandbox's local model failed: {error}") from error


class PromptTooLongError(Exception):
    """llama.cpp counted more tokens than a slot holds."""


def error_from(status: int, body: bytes) -> Exception:
    try:
        error = orjson.loads(body)["error"]
    except (orjson.JSONDecodeError, KeyError, TypeError):
        return LocalModelError(f"the sandbox's local model answered {status}")
    if error.get("type") == "exceed_context_size_error":
        return PromptTooLongError()
    return LocalModelRefusedError(f"the sandbox's local model refused: {error.get('message')}")


async def read_steps(stream: aiohttp.StreamReader) -> AsyncGenerator[Generated, None]:
    """llama.cpp's events, with its own count of tokens: `predicted_n` is a running total."""
    counted = 0
    finish: str | None = None
    async for line in stream:
        if not line.startswith(b"data: {"):
            continue
        event = orjson.loads(line[6:])
        if "error" in event:
            raise LocalModelError(f"the sandbox's local model failed: {event['error']}")
        total = event.get("timings", {}).get("predicted_n", counted)
        for choice in event["choices"]:
            finish = choice["finish_reason"] or finish
            delta = choice.get("delta") or {"content": choice.get("text")}
            if text := delta.get("content"):
                told = (choice.get("logprobs") or {}).get("content") or ()
                yield Generated(text, total - counted, logprobs=tuple(told))
                counted = total
        if event.get("usage"):
            total = event["usage"]["completion_tokens"]
            yield Generated("", max(0, total - counted), finish or "stop")
            return
    raise LocalModelError("the sandbox's local model broke off")


def chat_payload(turns: list[ChatTurn], max_tokens: int, sampling: Sampling) -> dict[str, Any]:
    spoken: dict[str, Any] = {
        "messages": [{"role": turn.role, "content": turn.text} for turn in turns]
    }
    if sampling.is_raw:
        spoken = {"prompt": turns[-1].text}
    payload: dict[str, Any] = {
        **spoken,
        "max_tokens": min(max_tokens, MAX_ANSWER_TOKENS),
        "stream": True,
        "stream_options": {"include_usage": True},
        "timings_per_token": True,
    }
    for name in ("temperature", "top_p", "seed"):
        if (value := getattr(sampling, name)) is not None:
            payload[name] = value
    if sampling.stop:
        payload["stop"] = list(sampling.stop)
    if sampling.alternatives is not None:
        # None at all are told for 0.
        most = max(1, sampling.alternatives)
        raw, spoken_to = {"logprobs": most}, {"logprobs": True, "top_logprobs": most}
        payload |= raw if sampling.is_raw else spoken_to
    if sampling.schema is not None and not sampling.is_raw:
        payload["response_format"] = {
            "type": "json_schema",
            "json_schema": {"name": "answer", "schema": sampling.schema},
        }
    return payload


def estimate(text: str) -> int:
    """About how many of SmolLM2's tokens: a third of ASCII, every byte of anything else."""
    ascii_chars = sum(char.isascii() for char in text)
    return 8 + ascii_chars // 3 + (len(text.encode()) - ascii_chars)


def fit(turns: list[ChatTurn], budget: int) -> list[ChatTurn]:
    """The system turn (at most a third) and the newest turns that fit in `budget` tokens."""
    kept: list[ChatTurn] = []
    system = [turn for turn in turns if turn.role == "system"][:1]
    if system:
        short = shorten(system[0], budget // 3)
        kept.append(short)
        budget -= estimate(short.text)
    newest: list[ChatTurn] = []
    for turn in reversed([turn for turn in turns if turn.role != "system"]):
        if newest and estimate(turn.text) > budget:
            break
        short = shorten(turn, budget)
        newest.append(short)
        budget -= estimate(short.text)
    return kept + newest[::-1]


def shorten(turn: ChatTurn, budget: int) -> ChatTurn:
    """The turn with its middle left out until it fits."""
    text = turn.text
    while estimate(text) > max(budget, 16) and len(text) > 8:
        keep = max(4, int(len(text) * max(budget, 16) / estimate(text) * 0.45))
        text = (
            f"{text[:keep]} … {text[-keep:]}"
            if keep * 2 + 3 < len(text)
            else text[: len(text) // 2]
        )
    return ChatTurn(turn.role, text)
