"""How likely each token was, in the two forms that OpenAI has for it.

Of real text as the local model tells it. A script has no doubts: its tokens are certain, and
whatever else is asked for is as good as impossible.
"""

from typing import Any

from sandbox.workers_ai.chat.answers import Part, PartKind

JsonObject = dict[str, Any]

CERTAIN = 0.0
# OpenAI's figure for what is very unlikely.
IMPOSSIBLE = -9999.0
MOST_ALTERNATIVES = 20
_OTHERS = tuple(f" other{number}" for number in range(1, MOST_ALTERNATIVES))


def chat_logprobs(parts: list[Part], alternatives: int | None) -> JsonObject | None:
    """Of a message. alternatives: how many at each place; None where nobody asked."""
    if alternatives is None:
        return None
    entries = _entries(parts, alternatives)
    return {"content": entries} if entries else None


def text_logprobs(
    parts: list[Part], alternatives: int | None, *, offset: int = 0
) -> JsonObject | None:
    """Of a text completion. offset: how many characters of it came before."""
    if alternatives is None:
        return None
    entries = _entries(parts, alternatives)
    if not entries:
        return None
    offsets = []
    for entry in entries:
        offsets.append(offset)
        offset += len(entry["token"])
    return {
        "tokens": [entry["token"] for entry in entries],
        "token_logprobs": [entry["logprob"] for entry in entries],
        "top_logprobs": [
            {other["token"]: other["logprob"] for other in entry["top_logprobs"]}
            for entry in entries
        ],
        "text_offset": offsets,
    }


def _entries(parts: list[Part], alternatives: int) -> list[JsonObject]:
    entries: list[JsonObject] = []
    for part in parts:
        if part.kind is not PartKind.CONTENT or not part.text:
            continue
        if part.logprobs is None:
            entries.append(_certain(part.text, alternatives))
        else:
            entries += [
                {**_token(one["token"], one["logprob"]), "top_logprobs": _told(one, alternatives)}
                for one in part.logprobs
            ]
    return entries


def _certain(text: str, alternatives: int) -> JsonObject:
    others = [_token(other, IMPOSSIBLE) for other in _OTHERS if other != text]
    itself = _token(text, CERTAIN)
    return {**itself, "top_logprobs": [itself, *others][:alternatives]}


def _told(entry: JsonObject, alternatives: int) -> list[JsonObject]:
    told = entry.get("top_logprobs") or []
    return [_token(one["token"], one["logprob"]) for one in told[:alternatives]]


def _token(text: str, logprob: float) -> JsonObject:
    return {"token": text, "logprob": logprob, "bytes": list(text.encode())}
