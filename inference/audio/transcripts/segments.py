"""Segments for models that tell only words, or nothing but the text."""

import re
from collections.abc import Iterator, Sequence

from inference.audio.transcripts.transcript import Segment, Word

# A subtitle that can be read: as long as this, or until a sentence ends or the speaker pauses.
_MOST_CHARACTERS = 84
_MOST_S = 7.0
_PAUSE_S = 1.0
_SENTENCE_END = re.compile(r"[.!?。！？…]['\")\]»”’]*$")


def segments_of(text: str, words: Sequence[Word], *, duration_s: float) -> list[Segment]:
    """Nothing said: no segments. Without words: one, from start to end."""
    if not text.strip():
        return []
    if not words:
        return [Segment(text.strip(), 0.0, duration_s)]
    texts = _in_text(text, words)
    return [
        Segment("".join(texts[first : last + 1]).strip(), words[first].start, words[last].end)
        for first, last in _groups(words, texts)
    ]


def _groups(words: Sequence[Word], texts: Sequence[str]) -> Iterator[tuple[int, int]]:
    """First and last word of each segment."""
    first, characters = 0, 0
    for number, word in enumerate(words):
        characters += len(texts[number])
        is_last = number + 1 == len(words)
        if not is_last:
            after = words[number + 1]
            goes_on = (
                not _SENTENCE_END.search(texts[number].rstrip())
                and after.start - word.end < _PAUSE_S
                and after.end - words[first].start <= _MOST_S
                and characters + len(texts[number + 1]) <= _MOST_CHARACTERS
            )
            if goes_on:
                continue
        yield first, number
        first, characters = number + 1, 0


def _in_text(text: str, words: Sequence[Word]) -> list[str]:
    """Each word with what stands between it and the next one, so that together they are the
    text again, whatever its language puts between words."""
    starts, at = [], 0
    for word in words:
        found = text.find(word.word, at)
        if found < 0:
            return [f"{word.word} " for word in words]
        starts.append(found)
        at = found + len(word.word)
    starts[0] = 0
    return [text[a:b] for a, b in zip(starts, [*starts[1:], len(text)], strict=True)]
