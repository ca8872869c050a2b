"""Speech to text, and text to speech."""

from typing import Any

from inference.audio.speech.params import SpeechParams
from inference.audio.speech.speakers import MEDIA_TYPES
from inference.audio.transcripts.params import TranscriptionParams, TranslationParams
from inference.reference.answers.media import (
    SpeechDelta,
    SpeechDone,
    TranscriptDelta,
    TranscriptDone,
    Transcription,
    VerboseTranscription,
)
from inference.reference.groups.common import EVENTS, FORM, JSON, TEXT, calls_a_model
from inference.reference.operation import Body, Content, Example

_FILE = "The sound: FLAC, MP3, MP4, M4A, OGG, WAV, WebM and others."
_PRINT: dict[str, Any] = {
    "python": "print(answer.text)",
    "javascript": "console.log(answer.text);",
}
_WHOLE = {
    JSON: Content(
        (Transcription, VerboseTranscription), when="`response_format` `json` and `verbose_json`."
    ),
    TEXT: Content(is_text=True, when="`response_format` `text`, `srt` and `vtt`."),
}

OPERATIONS = (
    calls_a_model(
        path="/v1/audio/transcriptions",
        id="createTranscription",
        tag="Audio",
        summary="Transcribe speech",
        description="What is said in a sound, in its own language.",
        bodies={FORM: Body(TranscriptionParams, files={"file": _FILE}, required_files=("file",))},
        answers={
            **_WHOLE,
            EVENTS: Content(events=(TranscriptDelta, TranscriptDone), when="With `stream`."),
        },
        examples=(
            Example(
                "A recording",
                {"model": "whisper-large-v3-turbo"},
                files={"file": "speech.wav"},
                call="audio.transcriptions.create",
                **_PRINT,
            ),
        ),
    ),
    calls_a_model(
        path="/v1/audio/translations",
        id="createAudioTranslation",
        tag="Audio",
        summary="Translate speech into English",
        description="What is said in a sound, in English.",
        bodies={FORM: Body(TranslationParams, files={"file": _FILE}, required_files=("file",))},
        answers=_WHOLE,
        examples=(
            Example(
                "A recording",
                {"model": "whisper-large-v3-turbo"},
                files={"file": "speech.wav"},
                call="audio.translations.create",
                **_PRINT,
            ),
        ),
    ),
    calls_a_model(
        path="/v1/audio/speech",
        id="createSpeech",
        tag="Audio",
        summary="Speak a text",
        description="A text, spoken; the sound comes while it is made. What it costs is known "
        "before it begins: `X-Estimated-Cost`.",
        bodies={JSON: Body(SpeechParams)},
        answers={
            **{
                media_type: Content(when=f"`response_format` `{name}`.")
                for name, media_type in MEDIA_TYPES.items()
            },
            EVENTS: Content(events=(SpeechDelta, SpeechDone), when='With `stream_format: "sse"`.'),
        },
        examples=(
            Example(
                "A greeting",
                {
                    "model": "aura-2-en",
                    "voice": "alloy",
                    "input": "Hello there!",
                    "response_format": "wav",
                },
                call="audio.speech.create",
                python='answer.write_to_file("speech.wav")',
                javascript='import { writeFileSync } from "node:fs";\n\n'
                'writeFileSync("speech.wav", Buffer.from(await answer.arrayBuffer()));',
                saves="speech.wav",
            ),
        ),
    ),
)
