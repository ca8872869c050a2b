"""How fast messages may come over one WebSocket: a bucket that fills steadily."""

import time

MESSAGES_PER_S, BURST = 20.0, 60.0


class Rate:
    def __init__(self) -> None:
        self._left = BURST
        self._at = time.monotonic()

    def take(self) -> bool:
        """Whether one more may come now."""
        now = time.monotonic()
        self._left = min(BURST, self._left + (now - self._at) * MESSAGES_PER_S)
        self._at = now
        if self._left < 1:
            return False
        self._left -= 1
        return True
