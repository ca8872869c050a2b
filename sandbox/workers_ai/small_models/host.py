"""One small model: its child process, and the calls to it, one after the other."""

import asyncio
import contextlib
import importlib.util
import os
import pickle
import signal
import struct
import sys
from typing import Any, ClassVar

from sandbox.workers_ai.errors import InvalidInputError, LocalModelError
from sandbox.workers_ai.settings import REPOSITORY

# Loading takes about a second; what is longer is a machine that stands still.
ANSWER_WITHIN_S = 120

# More threads than one collapse when a core is busy elsewhere.
ONE_THREAD = {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}


class Host:
    """Starts the child when it is needed, again when it has died."""

    # Names its module below this package; what it is called in messages; what it imports.
    name: ClassVar[str]
    fingerprint: ClassVar[str]
    packages: ClassVar[tuple[str, ...]]

    def __init__(self, *, is_wanted: bool) -> None:
        self._is_wanted = is_wanted
        self._turn = asyncio.Lock()
        # Asked for while it was not installed: `make run` then says how to get it.
        self.was_missed = False
        self.process: asyncio.subprocess.Process | None = None

    @property
    def missing(self) -> list[str]:
        return [name for name in self.packages if importlib.util.find_spec(name) is None]

    @property
    def state(self) -> str:
        if not self._is_wanted:
            return "off"
        if self.missing:
            return "not_installed"
        return "running" if self._is_alive else "idle"

    @property
    def _is_alive(self) -> bool:
        return self.process is not None and self.process.returncode is None

    async def ask(self, **arguments: Any) -> Any:
        """What the child's `answer` returns.

        Raises LocalModelError if the packages are missing or the child fails, InvalidInputError
        for input that it can't take.
        """
        if self.missing:
            self.was_missed = True
            raise LocalModelError(
                f"the sandbox's {self.name} is not installed (no {', '.join(self.missing)}). "
                "Run `make models` once to install it, or answer with a "
                "[[sandbox {…}]] directive."
            )
        async with self._turn:
            try:
                kind, value = await asyncio.wait_for(self._exchange(arguments), ANSWER_WITHIN_S)
            except (OSError, EOFError, asyncio.IncompleteReadError) as error:
                self._kill()
                why = "took too long" if isinstance(error, TimeoutError) else "has died"
                raise LocalModelError(f"the sandbox's {self.name} {why}") from error
            except BaseException:
                # Gone or too late: its answer must not be taken for the next call's.
                self._kill()
                raise
        if kind == "refused":
            raise InvalidInputError(f"Invalid input: {value}")
        if kind == "error":
            raise LocalModelError(f"the sandbox's {self.name} failed: {value}")
        return value

    async def _exchange(self, arguments: dict[str, Any]) -> tuple[str, Any]:
        if not self._is_alive:
            self.process = await self._start()
        assert self.process is not None
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        message = pickle.dumps(arguments)
        self.process.stdin.write(struct.pack(">I", len(message)) + message)
        await self.process.stdin.drain()
        (size,) = struct.unpack(">I", await self.process.stdout.readexactly(4))
        answer: tuple[str, Any] = pickle.loads(await self.process.stdout.readexactly(size))
        return answer

    async def _start(self) -> asyncio.subprocess.Process:
        return await asyncio.create_subprocess_exec(
            sys.executable,
            "-m",
            "sandbox.workers_ai.small_models.child",
            self.name,
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.DEVNULL,
            cwd=REPOSITORY,
            env={**os.environ, **ONE_THREAD},
            # Ctrl-C is for us; we end the child.
            start_new_session=True,
        )

    def _kill(self) -> None:
        """It holds nothing worth a clean end."""
        if self.process is not None and self.process.returncode is None:
            with contextlib.suppress(ProcessLookupError):
                os.kill(self.process.pid, signal.SIGKILL)
        self.process = None

    async def stop(self) -> None:
        process = self.process
        self._kill()
        if process is not None:
            await process.wait()
