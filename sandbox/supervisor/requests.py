"""Signals: turned into something the main loop can wait for."""

import os
import select
import signal
import time
from pathlib import Path
from types import FrameType

STOP_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)

# A second Ctrl-C counts as one only after this: make and `timeout` may pass on to us
# a signal that we got already.
PATIENCE_S = 0.5


# How often to look at make, which may want something without saying so.
MAKE_LOOK_S = 0.25


class StopRequested(BaseException):
    """Somebody wants the sandbox to stop: Ctrl-C, SIGTERM, or the terminal is gone."""


class StopRequests:
    """Whether and how urgently we are asked to stop.

    Nothing happens inside a signal handler: an exception there could come between
    starting a child and taking note of it.
    """

    def __init__(self) -> None:
        self.first_at: float | None = None
        self.is_urgent = False
        self.make = Make(os.getppid()) if "MAKELEVEL" in os.environ else None
        self.wakeup, writing_end = os.pipe()
        os.set_blocking(self.wakeup, False)
        os.set_blocking(writing_end, False)
        for sign in STOP_SIGNALS:
            signal.signal(sign, self.note)
        # Only to wake `pause` up as soon as a child dies.
        signal.signal(signal.SIGCHLD, lambda *_: None)
        signal.set_wakeup_fd(writing_end, warn_on_full_buffer=False)

    def note(self, sign: int, _frame: FrameType | None) -> None:
        now = time.monotonic()
        if self.first_at is None:
            self.first_at = now
        elif sign == signal.SIGINT and now - self.first_at > PATIENCE_S:
            self.is_urgent = True

    def sleep(self, seconds: float) -> None:
        """Until the time is over, a signal comes, or a child ends."""
        readable, _, _ = select.select([self.wakeup], [], [], max(seconds, 0))
        if readable:
            os.read(self.wakeup, 4096)

    def pause(self, seconds: float) -> None:
        """The same, but raises StopRequested when we are asked to stop."""
        if self.first_at is None:
            self.sleep(min(seconds, MAKE_LOOK_S) if self.make else seconds)
        if self.make and self.make.wants_us_to_stop():
            self.first_at = self.first_at or time.monotonic()
        if self.first_at is not None:
            raise StopRequested


class Make:
    """The `make run` that started us. It passes on a SIGTERM, but not everything else."""

    def __init__(self, pid: int) -> None:
        self.pid = pid
        self.caught_sigint = catches(pid, signal.SIGINT)

    def wants_us_to_stop(self) -> bool:
        """Whether it was killed, or interrupted alone and not with all of its group.

        `kill -INT` of make: it gives the signal back its default meaning and then waits
        for us, without a word.
        """
        if os.getppid() != self.pid:
            return True
        return self.caught_sigint and not catches(self.pid, signal.SIGINT)


def catches(pid: int, sign: signal.Signals) -> bool:
    """Whether a process has a handler for a signal, as far as /proc tells (Linux)."""
    try:
        status = Path(f"/proc/{pid}/status").read_text()
    except OSError:
        return False
    handlers = next(line for line in status.splitlines() if line.startswith("SigCgt:"))
    return bool(int(handlers.split()[1], 16) >> (sign - 1) & 1)
