"""What PostgreSQL and Valkey have in common: a folder, a port, a process, a log."""

import os
import signal
import subprocess
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import ClassVar

from sandbox.embedded import children
from sandbox.errors import SandboxError

POLL_S = 0.05

# A server that ends this often on its way up will not come up.
TRIES = 3


class Server(ABC):
    """A server of our own on 127.0.0.1, started and stopped as a child process."""

    name: ClassVar[str]
    title: ClassVar[str]
    stop_signal: ClassVar[signal.Signals]
    # Ends it without ceremony; what was committed stays.
    quick_stop_signal: ClassVar[signal.Signals]
    # Words of complaints that go away by themselves.
    passing_troubles: ClassVar[Sequence[str]] = ()

    def __init__(self, folder: Path, *, password: str, port: int, log: Path) -> None:
        self.folder = folder
        self.password = password
        self.port = port
        self.log = log
        self.process: subprocess.Popen[bytes] | None = None
        # Lent to the child: a lock on it lasts until the last process below is gone.
        self.keep_fds: Sequence[int] = ()

    @property
    @abstractmethod
    def url(self) -> str: ...

    @abstractmethod
    def prepare(self) -> None:
        """Make the data folder, if it is not there. Raises SandboxError."""

    @abstractmethod
    def spawn(self) -> subprocess.Popen[bytes]:
        """Start the process and return at once; it may still end right away."""

    @abstractmethod
    def is_ready(self) -> bool:
        """Whether it takes commands now."""

    @abstractmethod
    def complaint(self) -> str:
        """The line of the log that says why it did not start; empty if there is none."""

    @property
    def pid(self) -> int:
        assert self.process is not None, f"{self.name} was not started"
        return self.process.pid

    def start(
        self, *, timeout_s: float = 15.0, pause: Callable[[float], None] = time.sleep
    ) -> None:
        """Start it and wait until it takes commands; returns at once when it runs.

        pause: called with seconds to wait; what it raises ends the waiting.
        Raises SandboxError with the server's own complaint.
        """
        deadline = time.monotonic() + timeout_s
        tries = 0
        while not (self.is_alive() and self.is_ready()):
            hopeless = tries >= TRIES and not self.is_alive() and not self.trouble_passes()
            if hopeless or time.monotonic() > deadline:
                raise SandboxError(self.failure())
            if not self.is_alive():
                self.process = self.spawn()
                tries += 1
            pause(POLL_S)

    def start_again(self) -> None:
        """After `stop` or `kill`: on the same port, with the same data."""
        self.start()

    def is_alive(self) -> bool:
        return self.process is not None and self.process.poll() is None

    def stop(self, *, timeout_s: float = 5.0) -> None:
        """Stop it in good order, else quickly. Does nothing when it is not running."""
        if self.process is None:
            return
        for sign in (self.stop_signal, self.quick_stop_signal, signal.SIGKILL):
            self.process.send_signal(sign)
            if children.ended_within(self.process, timeout_s):
                return

    def stop_quickly(self) -> None:
        """Stop it without a last checkpoint. Does nothing when it is not running."""
        if self.process is not None:
            self.process.send_signal(self.quick_stop_signal)
            self.process.wait()

    def kill(self) -> None:
        """`kill -9`, and wait until the process is gone."""
        os.kill(self.pid, signal.SIGKILL)
        assert self.process is not None
        self.process.wait()

    def trouble_passes(self) -> bool:
        complaint = self.complaint()
        return any(trouble in complaint for trouble in self.passing_troubles)

    def failure(self) -> str:
        reason = self.complaint() or "it gave no reason"
        return f"{self.title} does not start: {reason} (log: {self.log})"
