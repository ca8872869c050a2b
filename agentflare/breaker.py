"""A store that does not answer must not be waited for again and again.

After some failures in a row the breaker opens: calls fail at once. While it is open, one caller
at a time, a pause apart, asks the store itself whether it is back.
"""

import logging
import threading
import time
from collections.abc import Callable

from agentflare import degraded

logger = logging.getLogger(__name__)


class Breaker:
    """Of one store, in one process.

    probe: asks the store, with a short time-out of its own; raises one of `errors` when it is
    down. failures: in a row, to open. pause_s: between two probes. cause: which of several of one
    store it is.
    """

    def __init__(
        self,
        name: str,
        *,
        probe: Callable[[], None],
        errors: tuple[type[Exception], ...],
        failures: int = 3,
        pause_s: float = 1.0,
        cause: str = "breaker",
    ) -> None:
        self.name = name
        self._cause = cause
        self.is_open = False
        self._probe = probe
        self._errors = errors
        self._most_failures = failures
        self._pause_s = pause_s
        self._failures = 0
        self._probe_at = 0.0
        self._probed_at = 0.0
        self._probing = threading.Lock()

    def refuses(self) -> bool:
        """Whether a call must fail at once. Probes where it is time to."""
        return self.is_open and not self._is_back()

    def succeeded(self) -> None:
        # On the path of every call: nothing is written while all is well.
        if self._failures:
            self._failures = 0

    def failed(self) -> None:
        self._failures += 1
        if not self.is_open and self._failures >= self._most_failures:
            self.open()

    def open(self) -> None:
        self._probe_at = time.monotonic() + self._pause_s
        if not self.is_open:
            logger.warning("%s is down (%s): calls fail at once", self.name, self._cause)
            self.is_open = True
            degraded.enter(self.name, cause=self._cause)

    def close(self) -> None:
        """Nobody asks this store any more: another has taken its place."""
        self._failures = 0
        if self.is_open:
            self.is_open = False
            degraded.leave(self.name, cause=self._cause)

    def ask(self) -> bool:
        """Probe now, whatever is known; many at once probe once. Returns whether it answers."""
        asked_at = time.monotonic()
        with self._probing:
            return not self.is_open if self._probed_at > asked_at else self._ask()

    def _is_back(self) -> bool:
        if time.monotonic() < self._probe_at or not self._probing.acquire(blocking=False):
            return False
        try:
            return self._ask()
        finally:
            self._probing.release()

    def _ask(self) -> bool:
        try:
            self._probe()
        except self._errors:
            self.open()
            return False
        finally:
            self._probed_at = time.monotonic()
        self._failures = 0
        if self.is_open:
            logger.warning("%s is back (%s)", self.name, self._cause)
            self.is_open = False
            degraded.leave(self.name, cause=self._cause)
        return True
