"""Signals: turned into something the main loop can wait for."""

import os
import select
import signal
import time
from types import FrameType

STOP_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)

# A second Ctrl-C counts as one only after this: make and `timeout` may pass on to us
# a signal that we got already.
PATIENCE_S = 0.5


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
        # Without a starter to watch, nobody's death concerns us (`nohup … &`).
        self.starter = os.getppid() if "MAKELEVEL" in os.environ else None
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
            self.sleep(seconds)
        if self.starter is not None and os.getppid() != self.starter:
            # `kill -9` of make: nobody is left who could pass on a Ctrl-C.
            self.first_at = self.first_at or time.monotonic()
        if self.first_at is not None:
            raise StopRequested
