"""What models answer, as a Transcript."""

import math
from collections.abc import Mapping
from typing import Any

from inference.audio.transcripts.segments import segments_of
from inference.audio.transcripts.transcript import Segment, Transcript, Word
from inference.metering.sounds import told_seconds, words_in
from inference.upstreams.failures import UpstreamCallError

_FACTS = ("seek", "tokens", "temperature", "avg_logprob", "compression_ratio", "no_speech_prob")


def read_transcript(result: Any, *, language: str, measured_s: float | None) -> Transcript:
    """Of Whisper, or of Deepgram.

    language: what the client named, for models that do not say. measured_s: the file's length,
    where it tells one. Raises UpstreamCallError for anything else.
    """
    if not isinstance(result, Mapping):
        raise UpstreamCallError.unreadable("the transcript is no object")
    channel = _channel(result)
    text = result.get("text") if channel is None else _transcript(channel)
    if not isinstance(text, str):
        raise UpstreamCallError.unreadable("there is no text in the transcript")
    text = text.strip()
    words = [word for entry in words_in(result) if (word := _word(entry))]
    segments = [segment for entry in _list(result, "segments") if (segment := _segment(entry))]
    told = told_seconds(result)
    duration_s = float(told) if told is not None else measured_s
    if duration_s is None:
        ends = [word.end for word in words] + [segment.end for segment in segments]
        duration_s = max(ends, default=0.0)
    return Transcript(
        text=text,
        language=_language(result, channel) or language,
        duration_s=duration_s,
        segments=segments or segments_of(text, words, duration_s=duration_s),
        words=words,
    )


def _channel(result: Mapping[str, Any]) -> Mapping[str, Any] | None:
    """Deepgram's. Of several channels the first is what is heard; others mostly repeat it."""
    results = result.get("results")
    if not isinstance(results, Mapping):
        return None
    channel = results["channels"][0]
    if not isinstance(channel, Mapping):
        raise UpstreamCallError.unreadable("a channel is no object")
    return channel


def _transcript(channel: Mapping[str, Any]) -> Any:
    return channel["alternatives"][0]["transcript"]


def _language(result: Mapping[str, Any], channel: Mapping[str, Any] | None) -> str:
    info = result.get("transcription_info")
    told = info.get("language") if isinstance(info, Mapping) else None
    if channel is not None:
        told = channel.get("detected_language")
    return told if isinstance(told, str) else ""


def _word(entry: Mapping[str, Any]) -> Word | None:
    text = entry.get("punctuated_word") or entry.get("word")
    start, end = _number(entry.get("start")), _number(entry.get("end"))
    if not isinstance(text, str) or not text.strip() or start is None or end is None:
        return None
    return Word(text.strip(), start, end)


def _segment(entry: Any) -> Segment | None:
    if not isinstance(entry, Mapping) or not isinstance(entry.get("text"), str):
        return None
    start, end = _number(entry.get("start")), _number(entry.get("end"))
    if start is None or end is None:
        return None
    facts = {name: entry[name] for name in _FACTS if _is_fact(name, entry.get(name))}
    return Segment(entry["text"].strip(), start, end, facts)


def _is_fact(name: str, value: Any) -> bool:
    if name == "tokens":
        return isinstance(value, list) and all(type(token) is int for token in value)
    return _number(value) is not None and (name != "seek" or isinstance(value, int))


def _number(value: Any) -> float | None:
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        return None
    return value


def _list(result: Mapping[str, Any], name: str) -> list[Any]:
    value = result.get(name)
    return value if isinstance(value, list) else []
