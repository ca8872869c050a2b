"""A transcript in OpenAI's five formats, and as a stream."""

import math
from collections.abc import Iterator
from typing import Any

import orjson

from inference.audio.transcripts.languages import language_name
from inference.audio.transcripts.transcript import Segment, Transcript

_FACTS: dict[str, Any] = {
    "seek": 0,
    "tokens": [],
    "temperature": 0.0,
    "avg_logprob": 0.0,
    "compression_ratio": 1.0,
    "no_speech_prob": 0.0,
}


def as_json(transcript: Transcript, money: dict[str, Any]) -> dict[str, Any]:
    return {"text": transcript.text, "usage": usage(transcript, money)}


def as_verbose_json(
    transcript: Transcript, money: dict[str, Any], *, task: str, segments: bool, words: bool
) -> dict[str, Any]:
    language = "english" if task == "translate" else language_name(transcript.language)
    document: dict[str, Any] = {
        "task": task,
        "language": language,
        "duration": transcript.duration_s,
        "text": transcript.text,
    }
    if words:
        document["words"] = [
            {"word": word.word, "start": word.start, "end": word.end} for word in transcript.words
        ]
    if segments:
        document["segments"] = [
            _segment(number, segment) for number, segment in enumerate(transcript.segments)
        ]
    document["usage"] = usage(transcript, money)
    return document


def _segment(number: int, segment: Segment) -> dict[str, Any]:
    """OpenAI's clients want all fields; what a model does not tell is what it mostly is."""
    facts = {**_FACTS, **segment.facts}
    return {
        "id": number,
        "seek": facts["seek"],
        "start": segment.start,
        "end": segment.end,
        "text": segment.text,
        "tokens": facts["tokens"],
        "temperature": facts["temperature"],
        "avg_logprob": facts["avg_logprob"],
        "compression_ratio": facts["compression_ratio"],
        "no_speech_prob": facts["no_speech_prob"],
    }


def as_text(transcript: Transcript) -> str:
    return f"{transcript.text}\n"


def as_srt(transcript: Transcript) -> str:
    return "".join(
        f"{number}\n{_clock(cue.start, ',')} --> {_clock(cue.end, ',')}\n{_cue_text(cue)}\n\n"
        for number, cue in enumerate(transcript.segments, start=1)
    )


def as_vtt(transcript: Transcript) -> str:
    cues = (
        f"{_clock(cue.start, '.')} --> {_clock(cue.end, '.')}\n{_cue_text(cue)}\n\n"
        for cue in transcript.segments
    )
    return "WEBVTT\n\n" + "".join(cues)


def _clock(at_s: float, point: str) -> str:
    milliseconds = round(max(0.0, at_s) * 1000)
    seconds, milliseconds = divmod(milliseconds, 1000)
    minutes, seconds = divmod(seconds, 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours:02d}:{minutes:02d}:{seconds:02d}{point}{milliseconds:03d}"


def _cue_text(cue: Segment) -> str:
    """An arrow or a blank line in it would begin another cue."""
    lines = [line.strip() for line in cue.text.replace("-->", "->").splitlines()]
    return "\n".join(line for line in lines if line)


def usage(transcript: Transcript, money: dict[str, Any]) -> dict[str, Any]:
    return {"type": "duration", "seconds": _seconds(transcript), **money}


def _seconds(transcript: Transcript) -> int:
    """OpenAI tells begun seconds."""
    return math.ceil(transcript.duration_s)


# --- as a stream --------------------------------------------------------------------


def as_events(transcript: Transcript, money: dict[str, Any]) -> bytes:
    """The models here answer whole; clients that stream get the text segment by segment.

    OpenAI's `usage` of the last event counts tokens alone, and there are none: what the call
    used and cost stands beside it.
    """
    deltas = ({"type": "transcript.text.delta", "delta": delta} for delta in _deltas(transcript))
    done = {
        "type": "transcript.text.done",
        "text": transcript.text,
        "seconds": _seconds(transcript),
        **money,
    }
    return b"".join(b"data: " + orjson.dumps(event) + b"\n\n" for event in (*deltas, done))


def _deltas(transcript: Transcript) -> Iterator[str]:
    """Together they are the text, to the letter."""
    text, at = transcript.text, 0
    for segment in transcript.segments:
        found = text.find(segment.text, at)
        if found < 0 or not segment.text:
            continue
        end = found + len(segment.text)
        yield text[at:end]
        at = end
    if at < len(text):
        yield text[at:]
