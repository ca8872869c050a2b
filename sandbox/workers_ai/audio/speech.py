"""Text to speech: Aura's bytes in many encodings, MeloTTS's base64."""

import asyncio
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from sandbox.workers_ai.audio.containers import as_base64, make_sound, speaking_time
from sandbox.workers_ai.errors import BadInputError, InvalidInputError, UnsupportedLanguageError
from sandbox.workers_ai.exchange import SCRIPTED_FINGERPRINT
from sandbox.workers_ai.fields import Fields
from sandbox.workers_ai.one_piece import Call, Outcome
from sandbox.workers_ai.script import without_directive

MELOTTS_LANGUAGES = ("en", "es", "fr", "zh", "jp", "kr")

# As Deepgram lists its voices; the first is the default.
AURA_1 = """angus asteria arcas orion orpheus athena luna zeus perseus helios hera stella"""
AURA_2_EN = """luna amalthea andromeda apollo arcas aries asteria athena atlas aurora callista cora
cordelia delia draco electra harmonia helena hera hermes hyperion iris janus juno jupiter mars
minerva neptune odysseus ophelia orion orpheus pandora phoebe pluto saturn selene thalia theia
vesta zeus"""
AURA_2_ES = """aquila sirio nestor carina celeste alvaro diana selena estrella javier"""
SPEAKERS = {
    "aura-1": tuple(AURA_1.split()),
    "aura-2-en": tuple(AURA_2_EN.split()),
    "aura-2-es": tuple(AURA_2_ES.split()),
}


@dataclass(frozen=True)
class Encoding:
    """Which containers and sample rates go with it; the first of each is the default."""

    containers: tuple[str, ...]
    rates: tuple[int, ...]


SAMPLES_AS_THEY_ARE = ("wav", "none")
ENCODINGS = {
    "mp3": Encoding(("none",), (22_050,)),
    "linear16": Encoding(SAMPLES_AS_THEY_ARE, (24_000, 8_000, 16_000, 32_000, 48_000)),
    "mulaw": Encoding(SAMPLES_AS_THEY_ARE, (8_000, 16_000)),
    "alaw": Encoding(SAMPLES_AS_THEY_ARE, (8_000, 16_000)),
    "opus": Encoding(("ogg",), (48_000,)),
    "flac": Encoding(("none",), (48_000, 8_000, 16_000, 22_050, 32_000)),
    "aac": Encoding(("none",), (22_050,)),
}
CONTAINERS = ("none", "wav", "ogg")

CONTENT_TYPES = {
    "mp3": "audio/mpeg",
    "opus": "audio/ogg",
    "flac": "audio/flac",
    "aac": "audio/aac",
    "linear16": "audio/l16",
    "mulaw": "audio/basic",
    "alaw": "audio/x-alaw-basic",
}


@dataclass(frozen=True, kw_only=True)
class SoundForm:
    """How an answer is to be encoded."""

    encoding: str = "mp3"
    container: str = "none"
    rate: int = 22_050
    bit_rate: int | None = None

    @property
    def content_type(self) -> str:
        if self.container == "wav":
            return "audio/wav"
        kind = CONTENT_TYPES[self.encoding]
        return f"{kind};rate={self.rate}" if self.encoding == "linear16" else kind


async def speak(call: Call) -> Outcome:
    if call.body.is_raw or call.body.is_form:
        raise BadInputError("the body is not valid JSON")
    if "melotts" in call.model.id:
        return await speak_melotts(call)
    fields = Fields(call.body.fields)
    text = fields.text("text")
    speakers = SPEAKERS[call.model.id.rpartition("/")[2]]
    fields.choice("speaker", speakers, default=speakers[0])
    form = form_of(fields)
    fields.refuse_wrong()
    content, duration_s, source = await spoken(call, text, form)
    return Outcome(
        source=source,
        content=content,
        content_type=form.content_type,
        # By the text that came, whatever of it is spoken.
        neurons=call.neurons({"characters": len(text)}),
        audio_s=duration_s,
    )


def form_of(fields: Fields) -> SoundForm:
    """Raises InvalidInputError for what does not go together."""
    name = fields.choice("encoding", tuple(ENCODINGS), default="mp3")
    encoding = ENCODINGS[name]
    container = fields.choice("container", CONTAINERS, default=encoding.containers[0])
    rate = fields.whole("sample_rate", 1, 1_000_000, default=encoding.rates[0])
    bit_rate = fields.whole("bit_rate", 1, 1_000_000, default=0)
    fields.refuse_wrong()
    if container not in encoding.containers:
        raise InvalidInputError(f"Invalid input: container {container} is not for {name}")
    if rate not in encoding.rates:
        raise InvalidInputError(f"Invalid input: sample_rate {rate} is not for {name}")
    return SoundForm(encoding=name, container=container, rate=rate, bit_rate=bit_rate or None)


async def speak_melotts(call: Call) -> Outcome:
    fields = Fields(call.body.fields)
    prompt = fields.text("prompt")
    language = fields.text("lang", default="en")
    fields.refuse_wrong()
    if language.lower() not in MELOTTS_LANGUAGES:
        raise UnsupportedLanguageError(language)
    content, duration_s, source = await spoken(call, prompt, SoundForm())
    result: dict[str, Any] = {"audio": as_base64(content)}
    neurons = call.audio_neurons(duration_s)
    return Outcome(source=source, result=result, neurons=neurons, audio_s=duration_s)


async def spoken(call: Call, text: str, form: SoundForm) -> tuple[bytes, Decimal, str]:
    """The file, how long it is, and who speaks."""
    wanted_s = call.directive.duration_s
    words = call.directive.scripted_text or without_directive(text)
    if not call.is_scripted_only and wanted_s is None:
        voice = call.exchange.services.small_models.voice
        content, duration_s = await voice.speak(
            words,
            encoding=form.encoding,
            container=form.container,
            rate=form.rate,
            bit_rate=form.bit_rate,
        )
        return content, duration_s, voice.fingerprint
    content, duration_s = await asyncio.to_thread(
        make_sound,
        speaking_time(words) if wanted_s is None else wanted_s,
        encoding=form.encoding,
        container=form.container,
        rate=form.rate,
    )
    return content, duration_s, SCRIPTED_FINGERPRINT
