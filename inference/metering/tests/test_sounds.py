"""Minutes: an upper bound for every request, and the truth by what came back."""

import base64
import math
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from billing.prices.models import Unit
from billing.usage.models import Truth
from inference.audio.tests import sounds
from inference.audio.tests.offers import answer, offer
from inference.metering import native
from inference.metering.sounds import minutes, most_minutes
from inference.upstreams.requests import FormRequest, JsonRequest, RawRequest, UpstreamRequest

WAV = sounds.wav(6)
TEXT = base64.b64encode(WAV).decode()
SIX_SECONDS = Decimal("0.1")
FORMS: dict[str, UpstreamRequest] = {
    "bytes": RawRequest(WAV, "audio/wav"),
    "base64": JsonRequest({"audio": TEXT, "task": "transcribe", "language": "en"}),
    "a data URL": JsonRequest({"audio": f"data:audio/wav;base64,{TEXT}"}),
    "a list of bytes": JsonRequest({"audio": list(WAV)}),
    "a list of floats": JsonRequest({"audio": [float(byte) for byte in WAV]}),
    "a list of both": JsonRequest({"audio": [WAV[0], *map(float, WAV[1:])]}),
    "base64 in lines": JsonRequest({"audio": base64.encodebytes(WAV).decode()}),
    "base64 without padding": JsonRequest({"audio": base64.b64encode(WAV + b"\0").decode()[:-1]}),
    "base64 for URLs": JsonRequest({"audio": base64.urlsafe_b64encode(WAV + b"\xff" * 3).decode()}),
    "deeper inside": JsonRequest({"input": {"audio": {"body": TEXT}}}),
    "a form": FormRequest({"task": "x"}, {"audio": ("a.wav", WAV, "audio/wav")}),
    "bare samples": RawRequest(
        bytes(96_000), "", query={"encoding": "linear16", "sample_rate": "8000"}
    ),
}
ASR = ("whisper", "whisper-large-v3-turbo", "nova-3", "smart-turn-v2")


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("model", ASR)
def test_the_bound_is_the_length_and_a_little(form: str, model: str) -> None:
    most = most_minutes(offer(model), FORMS[form])

    assert SIX_SECONDS < most < SIX_SECONDS * Decimal("1.05")


def test_a_sound_that_nobody_can_read_is_bound_by_its_size() -> None:
    for request in (
        RawRequest(bytes(6_000), "audio/x"),
        JsonRequest({"audio": base64.b64encode(bytes(6_000)).decode()}),
        # A rate that nobody has makes any sound short.
        RawRequest(bytes(6_000), "", query={"encoding": "mulaw", "sample_rate": "999999"}),
    ):
        assert most_minutes(offer("nova-3"), request) > Decimal(6_000) / 500 / 60


def test_a_sound_that_only_upstream_can_read_is_bound_by_its_size() -> None:
    for audio in ("!" + TEXT, [*WAV, None]):
        most = most_minutes(offer("whisper"), JsonRequest({"audio": audio}))
        assert most > Decimal(len(WAV)) / 500 / 60


def test_a_query_does_not_make_a_sound_short() -> None:
    lie = {"encoding": "linear32", "sample_rate": "96000", "channels": "999"}

    assert most_minutes(offer("nova-3"), RawRequest(WAV, "", query=lie)) > SIX_SECONDS
    bare = RawRequest(bytes(96_000 * 4), "", query=lie)
    assert most_minutes(offer("nova-3"), bare) > Decimal(1) / 60


@pytest.mark.parametrize("content", [sounds.mp4(1_000), sounds.flac(48_000), sounds.vorbis(44_100)])
def test_who_lies_about_a_length_pays_for_the_words_that_were_heard(content: bytes) -> None:
    request = RawRequest(content + bytes(60_000), "")
    most = most_minutes(offer("nova-3"), request)
    words = {"words": [{"word": "and", "start": 1, "end": 90}, {"word": "so", "end": 900_000}]}

    found, _ = minutes(offer("nova-3"), request, result={"words": words["words"][:1]}, content=b"")
    assert found == Decimal("1.5") > most
    absurd, _ = minutes(offer("nova-3"), request, result=words, content=b"")
    assert absurd < 3


WORDS = [{"word": "Hello", "start": 0.1, "end": 0.4}, {"word": "there", "start": 0.5, "end": 1.5}]


@pytest.mark.parametrize(
    ("result", "seconds", "is_told"),
    [
        ({"transcription_info": {"duration": 3.3}, "words": WORDS}, "3.3", True),
        ({"words": WORDS}, "1.5", False),
        ({"segments": [{"words": WORDS}]}, "1.5", False),
        ({"results": {"channels": [{"alternatives": [{"words": WORDS}]}]}}, "1.5", False),
        ({"text": ""}, "6", False),
        ({"words": []}, "6", False),
        (None, "6", False),
        # Not a figure.
        ({"transcription_info": {"duration": "soon"}}, "6", False),
        ({"transcription_info": {"duration": -1}}, "6", False),
        ({"transcription_info": {"duration": 1e300}}, "6", False),
        ({"transcription_info": [], "words": [{"end": None}, 3]}, "6", False),
        # Words that were heard after the end.
        ({"words": [{"word": "ghost", "start": 1, "end": 900}]}, "6.1", False),
    ],
)
def test_the_real_minutes(result: Any, seconds: str, is_told: bool) -> None:
    found = minutes(offer("whisper"), FORMS["bytes"], result=result, content=b"")

    assert found == (Decimal(seconds) / 60, is_told)


def test_a_sound_nobody_can_read_is_charged_as_what_it_likely_is() -> None:
    request = RawRequest(bytes(24_000), "audio/x")
    found, _ = minutes(offer("nova-3"), request, result={}, content=b"")

    assert found == SIX_SECONDS
    assert found < most_minutes(offer("nova-3"), request)


# --- speech -------------------------------------------------------------------------


def test_speech_by_the_minute_is_bound_by_its_text_and_charged_by_its_sound() -> None:
    model, request = offer("melotts"), JsonRequest({"prompt": "Hello there", "lang": "en"})

    assert most_minutes(model, request) >= Decimal(len("Hello there")) / 60
    by_json = minutes(model, request, result={"audio": TEXT}, content=b"")
    by_bytes = minutes(model, request, result=None, content=WAV)
    assert by_json == by_bytes == (SIX_SECONDS, False)
    unreadable, _ = minutes(model, request, result={"audio": "?"}, content=b"")
    assert 0 < unreadable <= most_minutes(model, request)


# --- to the nano-dollar -------------------------------------------------------------


def charge(model: str, request: UpstreamRequest, result: Any, neurons: str | None) -> int:
    """As inference.metering.meter reckons."""
    chosen = offer(model)
    used = native.used(chosen, request, answer(result, neurons=neurons), result=result)
    most = None if used.truth == Truth.PROVIDER else native.most(chosen, request)
    return chosen.price.charge_nusd(used.quantities, neurons=used.neurons, most=most)


@pytest.mark.parametrize("neurons", ["4.114", "4.1140000001", "4.66", "3.9"])
def test_neurons_decide_where_they_are_told(neurons: str) -> None:
    expected = math.ceil(Decimal(neurons) * 11_000)

    assert charge("whisper", FORMS["bytes"], {"text": "Hi"}, neurons) == expected


@pytest.mark.parametrize(
    ("model", "per_minute"),
    [("whisper", "41.14"), ("whisper-large-v3-turbo", "46.63"), ("nova-3", "472.73")],
)
@pytest.mark.parametrize("seconds", ["6", "1.1", "0.333"])
def test_the_published_rate_decides_where_no_neurons_are_told(
    model: str, per_minute: str, seconds: str
) -> None:
    result = {"text": "Hi", "transcription_info": {"duration": float(seconds)}}
    expected = math.ceil(Decimal(seconds) / 60 * Decimal(per_minute) * 11_000)

    assert charge(model, FORMS["bytes"], result, None) == expected


def test_neurons_beyond_belief_do_not_decide() -> None:
    result = {"text": "Hi", "transcription_info": {"duration": 6.0}}
    expected = math.ceil(SIX_SECONDS * Decimal("46.63") * 11_000)

    for neurons in ("46.63", "0.001", "-1", "NaN"):
        assert charge("whisper-large-v3-turbo", FORMS["base64"], result, neurons) == expected


def test_speech_by_characters_is_charged_by_its_text() -> None:
    request = JsonRequest({"text": "Hello there", "speaker": "luna"})
    chosen = offer("aura-2-en")
    used = native.used(chosen, request, answer(content=b"mp3"), result=None)

    assert used.quantities == native.most(chosen, request) == {Unit.CHARACTERS: 11}
    assert chosen.price.charge_nusd(used.quantities) == math.ceil(
        11 * Decimal("2727.27") / 1000 * 11_000
    )


# --- anything -----------------------------------------------------------------------

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=200),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner),
    max_leaves=12,
)
BODIES = st.dictionaries(st.sampled_from(["audio", "text", "prompt", "x"]), JSON, max_size=4)
RESULTS = JSON | st.fixed_dictionaries(
    {"words": JSON, "segments": JSON, "transcription_info": JSON, "results": JSON, "audio": JSON}
)


@given(BODIES, RESULTS, st.binary(max_size=200), st.sampled_from([*ASR, "melotts"]))
@settings(max_examples=300, deadline=None)
def test_any_request_and_any_answer_have_minutes(
    body: dict[str, Any], result: Any, content: bytes, model: str
) -> None:
    for request in (JsonRequest(body), RawRequest(content, "audio/x"), FormRequest({})):
        most = most_minutes(offer(model), request)
        found, _ = minutes(offer(model), request, result=result, content=content)

        assert most > 0
        assert most.is_finite()
        assert found >= 0
        assert found.is_finite()
