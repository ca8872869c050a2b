"""The text in a JSON document, to be counted: found without recursion, and within limits."""

from collections.abc import Callable, Collection
from dataclasses import dataclass
from typing import Any

from agentflare.errors import InvalidRequestError

# More values than this are no prompt, and would keep a worker busy for seconds.
MAX_VALUES = 100_000
MAX_DEPTH = 100


@dataclass(frozen=True, slots=True)
class Texts:
    """Strings, numbers, and names of fields, in order; and how many media stood among them."""

    texts: list[str]
    media: int

    def joined(self) -> str:
        return "\n".join(self.texts)


def never(name: str | None, value: Any) -> bool:
    return False


def collect(
    document: Any,
    *,
    unnamed: Collection[str] = (),
    is_medium: Callable[[str | None, Any], bool] = never,
    strict: bool = True,
) -> Texts:
    """unnamed: fields whose names do not count. is_medium: whether a value, below the field of
    that name, is a picture or a sound and no text.

    Raises InvalidRequestError beyond the limits; what is not `strict` stops there instead.
    """
    texts: list[str] = []
    media = seen = 0
    waiting: list[tuple[str | None, Any, int]] = [(None, document, 0)]
    while waiting:
        name, value, depth = waiting.pop()
        seen += 1
        if seen + len(waiting) > MAX_VALUES or depth > MAX_DEPTH:
            if not strict:
                break
            raise InvalidRequestError(
                f"The body holds more than {MAX_VALUES} values, or more than {MAX_DEPTH} levels "
                "of them."
            )
        if is_medium(name, value):
            media += 1
        elif isinstance(value, str):
            texts.append(value)
        elif isinstance(value, dict):
            for inner_name, inner in reversed(value.items()):
                waiting.append((inner_name, inner, depth + 1))
                if inner_name not in unnamed:
                    waiting.append((None, inner_name, depth))
        elif isinstance(value, list):
            waiting.extend((name, inner, depth + 1) for inner in reversed(value))
        elif value is not None:
            texts.append(str(value))
    return Texts(texts, media)
