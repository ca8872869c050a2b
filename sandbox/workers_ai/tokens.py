"""Token counts by each model family's own vocabulary.

Vocabularies load when first needed and stay. Long texts and loading go to a thread, so that
the event loop keeps serving streams.
"""

import asyncio
from collections.abc import Iterable
from dataclasses import dataclass

import splintr

# Longer texts than this (in characters) are encoded in a thread; shorter ones take microseconds.
LONG_TEXT_CHARS = 16_000

# The first part of the id that matches decides. "nearest" marks a family whose own vocabulary
# is not in splintr: the one that splits text most alike stands in.
VOCABULARY_BY_ID_PART = (
    ("deepseek-r1-distill-qwen", "qwen3"),
    ("deepseek-v4", "deepseek_v3"),
    ("gemma-sea-lion-v4", "gemma3"),
    ("gemma-4", "gemma4"),
    ("gemma-", "gemma2"),
    ("llama-2-", "llama2"),
    ("llava-1.5", "llama2"),
    ("llama-4-", "llama3"),  # nearest
    ("llama-", "llama3"),
    ("mistral-7b", "mistral_v1"),
    ("mistral-small-3", "mistral_v3"),
    ("apertus", "mistral_v3"),
    ("nemotron-3", "mistral_v3"),
    ("granite-4", "cl100k_base"),  # nearest
    ("eurollm", "mistral_v3"),  # nearest
    ("moondream", "cl100k_base"),  # nearest
    ("kimi-", "kimi_k2"),
    ("gpt-oss", "gpt-oss"),
    ("qwen", "qwen3"),
    ("qwq", "qwen3"),
    ("glm-", "glm4"),
)
DEFAULT_VOCABULARY = "o200k_base"


def vocabulary_name(model_id: str) -> str:
    for part, name in VOCABULARY_BY_ID_PART:
        if part in model_id:
            return name
    return DEFAULT_VOCABULARY


@dataclass(frozen=True, slots=True)
class TextPiece:
    """A part of a text that can be shown: one token, or the few that make a character."""

    text: str
    tokens: int


class Vocabulary:
    """One family's tokens. Text never forges special tokens (`encode_ordinary`)."""

    def __init__(self, name: str) -> None:
        self.name = name
        self._tokenizer = splintr.Tokenizer.from_pretrained(name)

    def count(self, text: str) -> int:
        return len(self._tokenizer.encode_ordinary(text)) if text else 0

    def pieces(self, text: str) -> list[TextPiece]:
        """`text` cut at token borders. Joined they are `text`, their tokens add up to `count`."""
        ids = self._tokenizer.encode_ordinary(text) if text else []
        decoder = self._tokenizer.streaming_decoder()
        pieces: list[TextPiece] = []
        tokens = 0
        for token_id in ids:
            tokens += 1
            if shown := decoder.add_token(token_id):
                pieces.append(TextPiece(shown, tokens))
                tokens = 0
        rest = decoder.flush() or ""
        if (rest or tokens) and pieces:
            last = pieces.pop()
            pieces.append(TextPiece(last.text + rest, last.tokens + tokens))
        if "".join(piece.text for piece in pieces) != text:
            # A vocabulary that normalises its input: keep the text, and the count.
            return even_pieces(text, len(ids))
        return pieces


def even_pieces(text: str, tokens: int) -> list[TextPiece]:
    """`text` cut into as many equal parts as it has tokens, or characters if those are fewer."""
    parts = min(tokens, len(text))
    pieces = []
    for i in range(parts):
        start, end = len(text) * i // parts, len(text) * (i + 1) // parts
        first, last = tokens * i // parts, tokens * (i + 1) // parts
        pieces.append(TextPiece(text[start:end], last - first))
    return pieces


class Vocabularies:
    """All vocabularies in use, each loaded once."""

    def __init__(self) -> None:
        self._loaded: dict[str, asyncio.Task[Vocabulary]] = {}

    async def of_model(self, model_id: str) -> Vocabulary:
        name = vocabulary_name(model_id)
        task = self._loaded.get(name)
        if task is None:
            task = asyncio.create_task(asyncio.to_thread(Vocabulary, name))
            self._loaded[name] = task
        # Shielded: a caller that leaves must not cancel the load for the others.
        return await asyncio.shield(task)


async def count_texts(vocabulary: Vocabulary, texts: Iterable[str]) -> int:
    texts = list(texts)
    if sum(map(len, texts)) <= LONG_TEXT_CHARS:
        return sum(map(vocabulary.count, texts))
    return await asyncio.to_thread(lambda: sum(map(vocabulary.count, texts)))


async def text_pieces(vocabulary: Vocabulary, text: str) -> list[TextPiece]:
    if len(text) <= LONG_TEXT_CHARS:
        return vocabulary.pieces(text)
    return await asyncio.to_thread(vocabulary.pieces, text)
