"""Processes that are started again when they die."""

import re
import signal
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from sandbox.embedded import children

FIRST_DELAY_S = 0.1
LONGEST_DELAY_S = 10.0

# Who has lived this long starts with a clean slate.
HEALTHY_AFTER_S = 20.0

EXCEPTION = re.compile(r"[\w.]*(Error|Exception|ImproperlyConfigured)\b.*:")

# Deaths in a row: the first ones are told, then only this one, with the reason.
TOLD_DEATHS = 3
TELL_AGAIN_AT = 5


class Startable(Protocol):
    """A Program or a Server."""

    log: Path
    process: subprocess.Popen[bytes] | None

    @property
    def name(self) -> str: ...

    @property
    def stop_signal(self) -> signal.Signals: ...

    def spawn(self) -> subprocess.Popen[bytes]: ...


@dataclass
class Program:
    """One of the product's processes, or a stand-in: runs until it is stopped."""

    name: str
    argv: Sequence[str]
    cwd: Path
    env: Mapping[str, str]
    log: Path
    keep_fds: Sequence[int] = ()
    stop_signal: signal.Signals = signal.SIGTERM
    process: subprocess.Popen[bytes] | None = field(default=None, init=False)

    def spawn(self) -> subprocess.Popen[bytes]:
        with self.log.open("ab") as log:
            return children.spawn(
                self.argv,
                cwd=self.cwd,
                env=self.env,
                output=log,
                # When the supervisor is killed the servers go too: nothing could be
                # finished in good order.
                death_signal=signal.SIGKILL,
                keep_fds=self.keep_fds,
            )


class Supervised:
    """A program that is kept running."""

    def __init__(
        self, program: Startable, *, say: Callable[[str], None], on_start: Callable[[], None]
    ) -> None:
        self.program = program
        self.say = say
        self.on_start = on_start
        self.deaths = 0
        self.started_at = time.monotonic()
        self.next_try_at: float | None = None

    @property
    def name(self) -> str:
        return self.program.name

    @property
    def process(self) -> subprocess.Popen[bytes]:
        assert self.program.process is not None
        return self.program.process

    @property
    def is_alive(self) -> bool:
        return self.process.poll() is None

    def start(self) -> None:
        self.program.process = self.program.spawn()
        self.started_at = time.monotonic()
        self.next_try_at = None
        self.on_start()

    def look(self, now: float) -> None:
        """Note a death; start again once the delay is over."""
        if self.is_alive:
            return
        if self.next_try_at is None:
            self.note_death(now)
        elif now >= self.next_try_at:
            self.start()

    def note_death(self, now: float) -> None:
        # A gunicorn worker outlives its master for a second and keeps the port.
        children.kill_group(self.process)
        if now - self.started_at > HEALTHY_AFTER_S:
            self.deaths = 0
        self.deaths += 1
        self.next_try_at = now + min(FIRST_DELAY_S * 2 ** (self.deaths - 1), LONGEST_DELAY_S)
        if self.deaths <= TOLD_DEATHS:
            self.say(
                f"{time.strftime('%H:%M:%S')} {self.name} ended ({how(self.process.returncode)}); "
                f"starting it again. Log: {self.program.log}"
            )
        elif self.deaths == TELL_AGAIN_AT:
            self.say(
                f"{time.strftime('%H:%M:%S')} {self.name} keeps ending: "
                f"{complaint(self.program.log)}. Still trying. Log: {self.program.log}"
            )


def how(returncode: int) -> str:
    if returncode >= 0:
        return f"status {returncode}"
    try:
        return signal.Signals(-returncode).name
    except ValueError:
        return f"signal {-returncode}"


def complaint(log: Path) -> str:
    """The line of a Python program's log that says why it ended: its last exception."""
    lines = children.tail(log)
    exceptions = [line for line in lines if EXCEPTION.match(line)]
    return (exceptions or lines or ["it gave no reason"])[-1]
