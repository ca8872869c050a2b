"""What AI Gateway's cache holds: whole answers by key, for a time."""

import time
from collections import OrderedDict
from dataclasses import dataclass
from typing import Final

ANSWERS_KEPT: Final = 1_000

Key = tuple[str, str, str]


@dataclass(frozen=True)
class KeptAnswer:
    body: bytes
    content_type: str
    expires_at: float


class GatewayCache:
    """The newest answers."""

    def __init__(self) -> None:
        self._answers: OrderedDict[Key, KeptAnswer] = OrderedDict()

    def find(self, key: Key) -> KeptAnswer | None:
        answer = self._answers.get(key)
        if answer is not None and answer.expires_at < time.monotonic():
            del self._answers[key]
            return None
        return answer

    def keep(self, key: Key, answer: KeptAnswer) -> None:
        self._answers[key] = answer
        if len(self._answers) > ANSWERS_KEPT:
            self._answers.popitem(last=False)

    def clear(self) -> None:
        self._answers.clear()
