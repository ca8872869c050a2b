"""Progress at the terminal."""

import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress

WIDTH = 44


class Console:
    """Short lines on standard output.

    A reader that went away (`make run | head`) is no reason to stop serving.
    """

    def __init__(self) -> None:
        self.line_is_open = False

    def say(self, text: str = "") -> None:
        self.write(("\n" if self.line_is_open else "") + text + "\n")
        self.line_is_open = False

    @contextmanager
    def step(self, what: str) -> Iterator[None]:
        """`  what ........ 1.2 s`: the name at once, the time when it is done."""
        began_at = time.monotonic()
        label = f"  {what} ".ljust(WIDTH, ".")
        if self.line_is_open:
            self.write("\n")
        self.write(label)
        self.line_is_open = True
        yield
        took = f" {time.monotonic() - began_at:4.1f} s\n"
        # A message in between has ended our line: say again what is done.
        self.write(took if self.line_is_open else label + took)
        self.line_is_open = False

    def close_line(self) -> None:
        """End a line that a failed step has left open."""
        if self.line_is_open:
            self.say()

    def write(self, text: str) -> None:
        with suppress(OSError):
            sys.stdout.write(text)
            sys.stdout.flush()
