"""How long the steps of a bench take."""

import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def timed(took_s: dict[str, float], name: str) -> Iterator[None]:
    """Into `took_s`, under this name; and told at once, for whoever waits."""
    started = time.monotonic()
    yield
    took_s[name] = time.monotonic() - started
    print(f"… {name}: {took_s[name]:.2f} s", file=sys.stderr)
