"""Voices, formats, and what is refused."""

from typing import Any, get_args

import pytest
from pydantic import ValidationError

from agentflare.errors import GatewayError, UnsupportedParamError
from billing.prices.models import Unit
from inference.audio.speech.params import AudioFormat, SpeechParams
from inference.audio.speech.run import prepare_speech
from inference.audio.speech.speakers import MEDIA_TYPES, request_for
from inference.audio.speech.voices import AURA_1, AURA_2_EN, AURA_2_ES, MELOTTS, Voices
from inference.audio.tests.offers import offer

OPENAI_VOICES = """alloy ash ballad coral echo fable onyx nova sage shimmer verse marin cedar"""
AURAS = ("aura-1", "aura-2-en", "aura-2-es")


def params(**values: Any) -> SpeechParams:
    made = SpeechParams(**{"model": "aura-2-en", "input": "Hi", "voice": "alloy", **values})
    made.check()
    return made


@pytest.mark.parametrize("voices", [AURA_1, AURA_2_EN, AURA_2_ES, MELOTTS])
def test_every_voice_of_openai_is_one_of_the_models_own(voices: Voices) -> None:
    assert list(voices.openai) == OPENAI_VOICES.split()
    assert set(voices.openai.values()) <= set(voices.own)
    for name in voices.own:
        assert voices.find(name.upper(), model="m") == name


def test_voices_are_the_models_and_no_others() -> None:
    def speaker(model: str, voice: Any) -> Any:
        return request_for(offer(model), params(voice=voice)).body["speaker"]

    assert speaker("aura-2-en", "thalia") == "thalia"
    assert speaker("aura-2-en", {"id": "thalia"}) == "thalia"
    assert speaker("aura-2-en", "aura-2-thalia-en") == "thalia"
    assert speaker("aura-2-es", "celeste") == "celeste"
    assert speaker("aura-1", "angus") == "angus"
    for model, voice in (("aura-1", "thalia"), ("aura-2-es", "thalia"), ("aura-2-en", "voice_1")):
        with pytest.raises(GatewayError) as caught:
            speaker(model, voice)
        assert (caught.value.param, caught.value.code) == ("voice", "invalid_value")


@pytest.mark.parametrize("audio_format", get_args(AudioFormat))
def test_aura_makes_every_format(audio_format: Any) -> None:
    for model in AURAS:
        body = request_for(offer(model), params(response_format=audio_format)).body
        assert body["text"] == "Hi"
        assert body["encoding"] in ("mp3", "opus", "aac", "flac", "linear16")
    assert MEDIA_TYPES[audio_format].startswith("audio/")


def test_bare_samples_are_as_openais() -> None:
    body = request_for(offer("aura-2-en"), params(response_format="pcm")).body

    assert {name: body[name] for name in ("encoding", "container", "sample_rate")} == {
        "encoding": "linear16",
        "container": "none",
        "sample_rate": 24_000,
    }


def test_melotts() -> None:
    assert request_for(offer("melotts"), params(voice="fr")).body == {"prompt": "Hi", "lang": "fr"}
    assert request_for(offer("melotts"), params()).body["lang"] == "en"
    for audio_format in ("opus", "aac", "flac", "pcm"):
        with pytest.raises(UnsupportedParamError) as caught:
            request_for(offer("melotts"), params(response_format=audio_format))
        assert caught.value.param == "response_format"


def test_the_hold_is_by_characters_or_by_time() -> None:
    by_characters = prepare_speech(params(input="Grüß dich"), offer("aura-1"))
    by_time = prepare_speech(params(input="Grüß dich"), offer("melotts"))

    assert by_characters.most == {Unit.CHARACTERS: 9}
    assert by_time.most[Unit.AUDIO_MINUTE] > 0


@pytest.mark.parametrize("model", ["whisper", "llama-3.3-70b-fast"])
def test_models_that_do_not_speak_are_refused(model: str) -> None:
    with pytest.raises(GatewayError) as caught:
        prepare_speech(params(), offer(model))

    assert caught.value.status == 404


def test_speed_is_refused_and_instructions_are_a_hint() -> None:
    params(speed=1.0, instructions="Whisper.")
    with pytest.raises(UnsupportedParamError) as caught:
        params(speed=1.5)
    assert caught.value.param == "speed"


@pytest.mark.parametrize(
    "values",
    [
        {"input": ""},
        {"input": "x" * 4097},
        {"voice": ""},
        {"voice": {"name": "x"}},
        {"voice": 3},
        {"speed": 0.1},
        {"response_format": "midi"},
        {"stream_format": "websocket"},
        {"unknown": 1},
    ],
)
def test_bodies_that_make_no_sense_are_refused(values: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        params(**values)
