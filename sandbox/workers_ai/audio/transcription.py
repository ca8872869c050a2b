"""Speech to text: what was heard, in the form of each model."""

from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from sandbox.workers_ai.audio.containers import wav
from sandbox.workers_ai.audio.sounds import read_sound
from sandbox.workers_ai.errors import BadInputError, InvalidInputError, MissingHeaderOrBodyError
from sandbox.workers_ai.exchange import SCRIPTED_FINGERPRINT, json_number
from sandbox.workers_ai.fields import Fields
from sandbox.workers_ai.one_piece import Call, Outcome

NOT_HEARD = "The sandbox has not listened to this."

TASKS = ("transcribe", "translate")

TURBO_NUMBERS = (
    "no_speech_threshold",
    "compression_ratio_threshold",
    "log_prob_threshold",
    "hallucination_silence_threshold",
)


@dataclass(frozen=True)
class Word:
    word: str
    start: float
    end: float


@dataclass(frozen=True, kw_only=True)
class Heard:
    """What was said. Nobody has timed the words: they are spread over the sound by length."""

    text: str
    duration_s: Decimal
    source: str

    def words(self) -> list[Word]:
        total = sum(len(word) + 1 for word in self.text.split()) or 1
        length, said, words = float(self.duration_s), 0, []
        for word in self.text.split():
            start = round(length * said / total, 2)
            said += len(word) + 1
            words.append(Word(word, start, round(length * said / total, 2)))
        return words

    def segments(self) -> list[dict[str, Any]]:
        """A segment a sentence."""
        segments: list[list[Word]] = [[]]
        for word in self.words():
            segments[-1].append(word)
            if word.word.endswith((".", "!", "?")):
                segments.append([])
        return [
            {
                "start": words[0].start,
                "end": words[-1].end,
                "text": " ".join(word.word for word in words),
                "words": [vars(word) for word in words],
            }
            for words in segments
            if words
        ]

    def vtt(self) -> str:
        cues = (
            f"\n\n{clock(part['start'])} --> {clock(part['end'])}\n{part['text']}"
            for part in self.segments()
        )
        return "WEBVTT" + "".join(cues)


def clock(at_s: float) -> str:
    minutes, rest = divmod(at_s, 60)
    return f"{int(minutes):02d}:{rest:06.3f}"


async def transcribe(call: Call) -> Outcome:
    name = call.model.id.rpartition("/")[2]
    if call.model.request_form == "websocket_only":
        raise InvalidInputError("Invalid input: this model is reached over WebSocket only")
    if name == "nova-3":
        return await transcribe_nova(call)
    if name == "whisper-large-v3-turbo":
        return await transcribe_turbo(call)
    heard = await listen(call, sound_bytes(call))
    result = {
        "text": heard.text,
        "word_count": len(heard.text.split()),
        "words": [vars(word) for word in heard.words()],
        "vtt": heard.vtt(),
    }
    return outcome(call, heard, result)


def sound_bytes(call: Call) -> bytes:
    """Bytes as they are, or `{"audio": […]}`."""
    if call.body.is_raw:
        return call.body.content
    if call.body.is_form:
        raise BadInputError("the body is neither sound nor JSON")
    fields = Fields(call.body.fields)
    fields.require("audio")
    content = fields.byte_list("audio") if "audio" in fields.raw else b""
    fields.refuse_wrong()
    return content


async def transcribe_turbo(call: Call) -> Outcome:
    if call.body.is_raw or call.body.is_form:
        raise BadInputError("the body is not valid JSON")
    fields = Fields(call.body.fields)
    fields.require("audio")
    content = fields.base64("audio") if "audio" in fields.raw else b""
    fields.choice("task", TASKS, default="transcribe")
    language = fields.text("language", default="en")
    fields.flag("vad_filter")
    fields.flag("condition_on_previous_text", default=True)
    for key in ("initial_prompt", "prefix"):
        fields.text(key, default="", may_be_empty=True)
    fields.whole("beam_size", 1, 100, default=5)
    for key in TURBO_NUMBERS:
        fields.number(key, -100, 100, default=0)
    fields.refuse_wrong()

    heard = await listen(call, content)
    length = json_number(heard.duration_s)
    result = {
        "text": heard.text,
        "word_count": len(heard.text.split()),
        "vtt": heard.vtt(),
        "segments": heard.segments(),
        "transcription_info": {
            "language": language,
            "language_probability": 0.99,
            "duration": length,
            "duration_after_vad": length,
        },
    }
    return outcome(call, heard, result)


async def transcribe_nova(call: Call) -> Outcome:
    """Options come in the query: "true" or "false", and `encoding` with `sample_rate`."""
    if not call.body.is_raw:
        raise BadInputError("required properties at '/' are 'audio'")
    if not call.exchange.request.headers.get("Content-Type"):
        raise MissingHeaderOrBodyError("Missing required header Content-Type")
    options = call.exchange.request.query
    content = call.body.content
    if "encoding" in options:
        content = wrapped_samples(content, options)
    heard = await listen(call, content)
    words = [
        {"word": bare(word.word), "start": word.start, "end": word.end, "confidence": 0.99}
        for word in heard.words()
    ]
    is_punctuated = is_on(options, "punctuate") or is_on(options, "smart_format")
    for entry, word in zip(words, heard.words(), strict=True):
        if is_punctuated:
            entry["punctuated_word"] = word.word
        if is_on(options, "diarize"):
            entry |= {"speaker": 0, "speaker_confidence": 0.99}
    said = heard.text if is_punctuated else " ".join(str(entry["word"]) for entry in words)
    alternative = {"transcript": said, "confidence": 0.99, "words": words}
    channel: dict[str, Any] = {"alternatives": [alternative]}
    if is_on(options, "detect_language"):
        channel |= {"detected_language": "en", "language_confidence": 0.99}
    return outcome(call, heard, {"results": {"channels": [channel]}})


def bare(word: str) -> str:
    return word.strip(".,;:!?").lower()


def is_on(options: Mapping[str, str], key: str) -> bool:
    return options.get(key, "false").lower() == "true"


def wrapped_samples(content: bytes, options: Mapping[str, str]) -> bytes:
    """Bare samples as a WAV file. Raises InvalidInputError."""
    encoding, rate = options["encoding"], options.get("sample_rate", "")
    if encoding not in ("linear16", "mulaw", "alaw") or not rate.isdecimal():
        raise InvalidInputError("Invalid input: encoding needs a sample_rate")
    return wav(content, encoding, int(rate))


async def listen(call: Call, content: bytes) -> Heard:
    """What was said, by the directive or the local model.

    Raises InvalidInputError for what is no sound and has no answer in a directive.
    """
    directive = call.directive
    scripted = directive.scripted_text
    sound = read_sound(content)
    if scripted is None and sound is None and directive.duration_s is None:
        raise InvalidInputError("Invalid input: failed to decode audio file")
    if scripted is None and not call.is_scripted_only:
        ear = call.exchange.services.small_models.ear
        text, duration_s = await ear.listen(content)
        duration_s = duration_s if directive.duration_s is None else directive.duration_s
        return Heard(text=text, duration_s=duration_s, source=ear.fingerprint)
    duration_s = directive.duration_s or (sound.duration_s if sound else Decimal(0))
    text = NOT_HEARD if scripted is None else scripted
    return Heard(text=text, duration_s=duration_s, source=SCRIPTED_FINGERPRINT)


def outcome(call: Call, heard: Heard, result: dict[str, Any]) -> Outcome:
    return Outcome(
        source=heard.source,
        result=result,
        neurons=call.audio_neurons(heard.duration_s),
        audio_s=heard.duration_s,
    )
