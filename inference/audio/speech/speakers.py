"""The models that speak, and the forms in which each of them can."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from agentflare.errors import NotFoundError, UnsupportedParamError
from inference.audio.speech.params import SpeechParams
from inference.audio.speech.voices import AURA_1, AURA_2_EN, AURA_2_ES, MELOTTS, Voices
from inference.catalog.selectors import Offer
from inference.upstreams.requests import JsonRequest

MEDIA_TYPES = {
    "mp3": "audio/mpeg",
    "opus": "audio/ogg",
    "aac": "audio/aac",
    "flac": "audio/flac",
    "wav": "audio/wav",
    "pcm": "audio/pcm",
}
# What OpenAI's `pcm` is: 24 kHz, 16 bits, one channel, no header.
_PCM_HERTZ = 24_000
_AURA_FORMATS: Mapping[str, Mapping[str, Any]] = {
    "mp3": {"encoding": "mp3"},
    "opus": {"encoding": "opus", "container": "ogg"},
    "aac": {"encoding": "aac"},
    "flac": {"encoding": "flac"},
    "wav": {"encoding": "linear16", "container": "wav", "sample_rate": _PCM_HERTZ},
    "pcm": {"encoding": "linear16", "container": "none", "sample_rate": _PCM_HERTZ},
}


@dataclass(frozen=True, slots=True)
class Speaker:
    """formats: those it can make, what it makes by itself first. body: from the text, a voice
    of its own and a format to its parameters. is_streamed: whether its answer is the sound
    itself, as it is made."""

    voices: Voices
    formats: tuple[str, ...]
    body: Callable[[str, str, str], dict[str, Any]]
    is_streamed: bool = True


def _aura(text: str, voice: str, audio_format: str) -> dict[str, Any]:
    return {"text": text, "speaker": voice, **_AURA_FORMATS[audio_format]}


def _melotts(text: str, voice: str, audio_format: str) -> dict[str, Any]:
    return {"prompt": text, "lang": voice}


_SPEAKERS = {
    "aura-1": Speaker(AURA_1, tuple(_AURA_FORMATS), _aura),
    "aura-2-en": Speaker(AURA_2_EN, tuple(_AURA_FORMATS), _aura),
    "aura-2-es": Speaker(AURA_2_ES, tuple(_AURA_FORMATS), _aura),
    # MP3 by its documentation; builds that send WAV have been seen.
    "melotts": Speaker(MELOTTS, ("mp3", "wav"), _melotts, is_streamed=False),
}


def speaker_of(offer: Offer) -> Speaker:
    """Raises NotFoundError for a model whose voices nobody here knows."""
    speaker = _SPEAKERS.get(offer.upstream_model.rpartition("/")[2])
    if speaker is None or offer.upstream:
        raise NotFoundError(
            f"The model `{offer.name}` cannot be called by OpenAI's parameters. "
            f"Its own are taken by v1/run/{offer.name}.",
            param="model",
            code="model_not_supported",
        )
    return speaker


def request_for(offer: Offer, params: SpeechParams) -> JsonRequest:
    """Raises NotFoundError, InvalidRequestError or UnsupportedParamError."""
    speaker = speaker_of(offer)
    audio_format = params.response_format or speaker.formats[0]
    if audio_format not in speaker.formats:
        raise UnsupportedParamError(
            f"The model `{offer.name}` cannot make '{audio_format}'. "
            f"It makes {' or '.join(speaker.formats)}.",
            param="response_format",
        )
    voice = speaker.voices.find(params.voice_name, model=offer.name)
    return JsonRequest(speaker.body(params.input, voice, audio_format))
