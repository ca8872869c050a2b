"""Pictures, sounds, and what is said of them."""

from typing import Literal

from inference.reference.answers.base import SOMETIMES, Answer, Money
from inference.reference.answers.texts import Label, TaskUsage


class ImageItem(Answer):
    """One of the two."""

    b64_json: str = SOMETIMES
    """The picture, in base64."""
    url: str = SOMETIMES
    """Where it is for an hour; whoever has the URL sees it."""


class ImageTokenDetails(Answer):
    image_tokens: int
    text_tokens: int


class ImageUsage(TaskUsage):
    """OpenAI's token counts are 0: no picture here is counted in tokens."""

    input_tokens: int
    input_tokens_details: ImageTokenDetails
    output_tokens: int
    total_tokens: int


class ImagesAnswer(Answer):
    created: int
    data: list[ImageItem]
    output_format: Literal["png", "jpeg", "webp", "gif"]
    """Of the pictures as they are, whatever was asked for."""
    size: str = SOMETIMES
    background: Literal["opaque"] = SOMETIMES
    """Where you sent `background`."""
    usage: ImageUsage


class ImageLabels(Answer):
    object: Literal["classification"]
    model: str
    results: list[Label]
    """The likeliest first."""
    usage: TaskUsage


class DurationUsage(Money):
    type: Literal["duration"]
    seconds: int
    """Of sound, begun seconds as whole ones. The price counts exactly."""


class Transcription(Answer):
    text: str
    usage: DurationUsage


class TranscriptWord(Answer):
    word: str
    start: float
    end: float


class TranscriptSegment(Answer):
    id: int
    seek: int
    start: float
    """Seconds from the beginning."""
    end: float
    text: str
    tokens: list[int]
    temperature: float
    avg_logprob: float
    compression_ratio: float
    no_speech_prob: float


class VerboseTranscription(Answer):
    """With `response_format: "verbose_json"`."""

    task: Literal["transcribe", "translate"]
    language: str
    """In English (`spanish`); `unknown` where the model does not tell."""
    duration: float
    text: str
    words: list[TranscriptWord] = SOMETIMES
    segments: list[TranscriptSegment] = SOMETIMES
    usage: DurationUsage


class TranscriptDelta(Answer):
    type: Literal["transcript.text.delta"]
    delta: str


class TranscriptDone(Money):
    type: Literal["transcript.text.done"]
    text: str
    seconds: int
    """Begun seconds."""


class SpeechDelta(Answer):
    type: Literal["speech.audio.delta"]
    audio: str
    """The next piece of the sound, in base64."""


class SpeechUsage(Money):
    input_tokens: int
    output_tokens: int
    total_tokens: int
    characters: int
    """What the price counts."""


class SpeechDone(Answer):
    type: Literal["speech.audio.done"]
    usage: SpeechUsage
