"""Duties of a process that no request waits for: one thread each (a greenlet in a web worker)."""

import os
import threading
from collections.abc import Callable


class ProcessThread:
    """A thread that runs once in each process that asks for it, and again in one that was forked
    from it, or after it has died."""

    def __init__(self, name: str, target: Callable[[], None]) -> None:
        self._name = name
        self._target = target
        self._thread: threading.Thread | None = None
        self._pid = 0
        self._lock = threading.Lock()

    def start(self) -> None:
        """Repeats change nothing, and cost next to nothing."""
        if self._runs_here():
            return
        with self._lock:
            if self._runs_here():
                return
            self._pid = os.getpid()
            self._thread = threading.Thread(target=self._target, name=self._name, daemon=True)
            self._thread.start()

    def _runs_here(self) -> bool:
        return self._pid == os.getpid() and self._thread is not None and self._thread.is_alive()
