"""What was heard, whichever model heard it."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True, slots=True)
class Word:
    """Times are seconds from the start."""

    word: str
    start: float
    end: float


@dataclass(frozen=True, slots=True)
class Segment:
    """facts: what Whisper says of its own decoding, by OpenAI's names."""

    text: str
    start: float
    end: float
    facts: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Transcript:
    """language: a code, or empty where nobody knows. duration_s: of the whole sound."""

    text: str
    language: str
    duration_s: float
    segments: list[Segment]
    words: list[Word]
