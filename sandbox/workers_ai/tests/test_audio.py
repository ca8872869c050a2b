"""Speech to text, text to speech, turn detection."""

import base64
import re
import struct
import time
from decimal import Decimal
from typing import Any

import pytest
import requests

from sandbox.workers_ai.audio.containers import make_sound
from sandbox.workers_ai.audio.sounds import Sound, read_sound
from sandbox.workers_ai.tests.client import Caller, exact, script, wait_until
from sandbox.workers_ai.tests.sounds import wav, with_comment, with_script

WHISPER = "@cf/openai/whisper"
TINY = "@cf/openai/whisper-tiny-en"
TURBO = "@cf/openai/whisper-large-v3-turbo"
NOVA = "@cf/deepgram/nova-3"
FLUX = "@cf/deepgram/flux"
AURA = "@cf/deepgram/aura-1"
AURA_2 = "@cf/deepgram/aura-2-en"
MELO = "@cf/myshell-ai/melotts"
TURN = "@cf/pipecat-ai/smart-turn-v2"


def send_sound(
    stand_in: Caller, model: str, content: bytes, kind: str = "audio/wav", **query: str
) -> requests.Response:
    headers = stand_in.headers({"Content-Type": kind} if kind else {})
    url = f"{stand_in.base}/run/{model}"
    return requests.post(url, data=content, params=query, headers=headers, timeout=30)


def b64(content: bytes) -> str:
    return base64.b64encode(content).decode()


# --- Listening -------------------------------------------------------------------------------


def test_whisper_takes_bytes_or_a_list_of_them(stand_in: Caller) -> None:
    sound = with_script(wav(0.5), text="Hello there.")

    raw = send_sound(stand_in, WHISPER, sound).json()["result"]
    listed = stand_in.result(WHISPER, {"audio": list(sound)})

    assert raw["text"] == listed["text"] == "Hello there."
    assert raw["word_count"] == 2
    assert [word["word"] for word in raw["words"]] == ["Hello", "there."]
    assert raw["words"][-1]["end"] == 0.5
    assert raw["vtt"] == "WEBVTT\n\n00:00.000 --> 00:00.500\nHello there."


@pytest.mark.parametrize("kind", ["application/octet-stream", "audio/x-wav", ""])
def test_any_binary_type_will_do(stand_in: Caller, kind: str) -> None:
    assert send_sound(stand_in, WHISPER, wav(0.1), kind).status_code == 200


def test_directive_may_be_a_comment_in_the_file(stand_in: Caller) -> None:
    sound = with_comment(wav(1), text="From the comment.")

    response = send_sound(stand_in, WHISPER, sound)

    assert response.json()["result"]["text"] == "From the comment."
    # 1 s: 41.14 / 60, with the digits there is room for.
    assert response.headers["cf-ai-neurons"].startswith("0.68566666666666")


def test_without_a_directive_the_text_says_that_nobody_listened(stand_in: Caller) -> None:
    response = send_sound(stand_in, TINY, wav(0.1))

    assert response.json()["result"]["text"] == "The sandbox has not listened to this."
    assert "cf-ai-neurons" not in response.headers


def test_turbo_tells_segments_language_and_duration(stand_in: Caller) -> None:
    sound = with_script(wav(1.5), text="Hello there. How are you?")
    body = {"audio": b64(sound), "task": "translate", "language": "fr", "vad_filter": True}

    response = stand_in.run(TURBO, body)

    result = exact(response)["result"]
    assert [part["text"] for part in result["segments"]] == ["Hello there.", "How are you?"]
    assert result["segments"][1]["words"][0]["word"] == "How"
    assert result["transcription_info"]["language"] == "fr"
    assert result["transcription_info"]["duration"] == Decimal("1.5")
    # 1.5 s x 46.63 / 60
    assert response.headers["cf-ai-neurons"] == "1.16575"
    assert stand_in.calls()[-1]["audio_s"] == "1.5"


def test_duration_may_be_given(stand_in: Caller) -> None:
    sound = with_script(b"no sound at all", text="x", duration_s=90)

    response = send_sound(stand_in, WHISPER, sound, "audio/webm")

    # 1.5 minutes
    assert response.headers["cf-ai-neurons"] == "61.71"


@pytest.mark.parametrize(
    ("body", "refusal"),
    [
        ({}, (400, 5006)),
        ({"audio": "?"}, (400, 5004)),
        ({"audio": [1, 2]}, (400, 5006)),
        ({"audio": b64(b"no sound")}, (400, 8001)),
        ({"audio": b64(wav(0.1)), "task": "sing"}, (400, 5006)),
        ({"audio": b64(wav(0.1)), "beam_size": "many"}, (400, 5006)),
    ],
)
def test_turbo_refuses(stand_in: Caller, body: dict[str, Any], refusal: tuple[int, int]) -> None:
    assert stand_in.error(stand_in.run(TURBO, body))[:2] == refusal


def test_bytes_for_turbo_or_json_for_nova_are_refused(stand_in: Caller) -> None:
    assert stand_in.error(send_sound(stand_in, TURBO, wav(0.1)))[:2] == (400, 5006)
    assert stand_in.error(stand_in.run(NOVA, {"audio": "x"}))[:2] == (400, 5006)


def test_no_body_and_no_sound_are_refused(stand_in: Caller) -> None:
    assert stand_in.error(send_sound(stand_in, WHISPER, b""))[:2] == (400, 3003)
    assert stand_in.error(send_sound(stand_in, WHISPER, b"no sound"))[:2] == (400, 8001)
    assert stand_in.error(stand_in.run(WHISPER, {"audio": "aGk="}))[:2] == (400, 5006)


def test_nova_takes_its_options_from_the_query(stand_in: Caller) -> None:
    sound = with_script(wav(1), text="Hello there, world.")

    plain = send_sound(stand_in, NOVA, sound)
    options = {"punctuate": "true", "diarize": "true", "detect_language": "true"}
    rich = send_sound(stand_in, NOVA, sound, **options)

    (channel,) = plain.json()["result"]["results"]["channels"]
    assert channel["alternatives"][0]["transcript"] == "hello there world"
    assert "speaker" not in channel["alternatives"][0]["words"][0]
    (channel,) = rich.json()["result"]["results"]["channels"]
    assert channel["detected_language"] == "en"
    assert channel["alternatives"][0]["transcript"] == "Hello there, world."
    word = channel["alternatives"][0]["words"][1]
    assert (word["word"], word["punctuated_word"], word["speaker"]) == ("there", "there,", 0)
    assert rich.headers["cf-ai-neurons"].startswith("7.87883333333")


def test_nova_may_answer_without_the_envelope(stand_in: Caller) -> None:
    sound = with_script(wav(1), text="Hello", no_envelope=True)

    body = send_sound(stand_in, NOVA, sound).json()

    assert "success" not in body
    assert body["results"]["channels"][0]["alternatives"][0]["transcript"] == "hello"


def test_nova_takes_bare_samples(stand_in: Caller) -> None:
    options = {"encoding": "linear16", "sample_rate": "16000"}

    send_sound(stand_in, NOVA, bytes(64_000), "audio/l16", **options)

    assert stand_in.calls()[-1]["audio_s"] == "2"


def test_deepgram_flux_is_for_websockets_only(stand_in: Caller) -> None:
    status, code, text = stand_in.error(send_sound(stand_in, FLUX, wav(0.1)))

    assert (status, code) == (400, 8001)
    assert "WebSocket" in text


# --- Speaking --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("fields", "kind", "form"),
    [
        ({}, "audio/mpeg", "mp3"),
        ({"encoding": "linear16"}, "audio/wav", "wav"),
        ({"encoding": "linear16", "sample_rate": 8000}, "audio/wav", "wav"),
        ({"encoding": "mulaw"}, "audio/wav", "wav"),
        ({"encoding": "alaw", "container": "wav", "sample_rate": 16000}, "audio/wav", "wav"),
        ({"encoding": "flac"}, "audio/flac", "flac"),
        ({"encoding": "opus", "container": "ogg"}, "audio/ogg", "ogg"),
        ({"encoding": "aac"}, "audio/aac", "aac"),
        ({"encoding": "linear16", "container": "none"}, "audio/l16;rate=24000", None),
        ({"encoding": "mulaw", "container": "none"}, "audio/basic", None),
    ],
)
def test_aura_speaks_in_the_encoding_asked_for(
    stand_in: Caller, fields: dict[str, Any], kind: str, form: str | None
) -> None:
    response = stand_in.run(AURA, {"text": "Hello there", **fields})

    assert response.headers["Content-Type"] == kind
    sound = read_sound(response.content)
    assert (sound.form if sound else None) == form
    if sound:
        assert not sound.is_estimate
        # 11 characters at 0.06 s, up to a whole frame.
        assert Decimal("0.66") <= sound.duration_s < Decimal("0.71")
        assert Decimal(stand_in.calls()[-1]["audio_s"]) == sound.duration_s


def test_aura_is_paid_by_the_character_and_longer_texts_take_longer(stand_in: Caller) -> None:
    wav_form = {"encoding": "linear16"}
    short = stand_in.run(AURA, {"text": "é" * 10, **wav_form})
    long = stand_in.run(AURA_2, {"text": "x" * 100, **wav_form})

    # 10 x 1.36364 and 100 x 2.72727
    assert short.headers["cf-ai-neurons"] == "13.6364"
    assert long.headers["cf-ai-neurons"] == "272.727"
    assert len(long.content) > 5 * len(short.content)


@pytest.mark.parametrize(
    ("body", "refusal", "words"),
    [
        ({}, (400, 5006), "'text'"),
        ({"text": ""}, (400, 5006), "minLength at '/text'"),
        ({"text": "x", "speaker": "nobody"}, (400, 5006), "enum nobody not in"),
        ({"text": "x", "encoding": "wma"}, (400, 5006), "enum wma not in"),
        ({"text": "x", "encoding": "mp3", "container": "wav"}, (400, 8001), "container wav"),
        ({"text": "x", "encoding": "aac", "sample_rate": 8000}, (400, 8001), "sample_rate 8000"),
    ],
)
def test_aura_refuses(
    stand_in: Caller, body: dict[str, Any], refusal: tuple[int, int], words: str
) -> None:
    status, code, text = stand_in.error(stand_in.run(AURA, body))

    assert (status, code) == refusal
    assert words in text


def test_melotts_answers_base64_and_is_paid_by_the_minute(stand_in: Caller) -> None:
    response = stand_in.run(MELO, {"prompt": script("Hello", duration_s=60), "lang": "en"})

    sound = read_sound(base64.b64decode(response.json()["result"]["audio"], validate=True))
    assert sound is not None
    assert sound.form == "mp3"
    assert sound.duration_s == pytest.approx(Decimal(60), abs=Decimal("0.1"))
    neurons = Decimal(response.headers["cf-ai-neurons"])
    assert neurons == sound.duration_s * Decimal("18.63") / 60


def test_melotts_refuses_a_language_it_lacks(stand_in: Caller) -> None:
    assert stand_in.error(stand_in.run(MELO, {"prompt": "x", "lang": "sv"}))[:2] == (400, 8002)
    assert stand_in.error(stand_in.run(MELO, {"lang": "en"}))[:2] == (400, 5006)


# --- Binary answers, slow and broken ---------------------------------------------------------


def test_sound_in_slow_pieces(stand_in: Caller) -> None:
    text = script("x", piece_bytes=1_000, chunk_ms=50, duration_s=0.25)
    started = time.monotonic()

    response = stand_in.run(AURA, {"text": text, "encoding": "linear16"}, stream=True)
    pieces = response.iter_content(None)
    first = next(pieces)
    first_after = time.monotonic() - started
    rest = b"".join(pieces)

    assert first_after < 0.3
    assert time.monotonic() - started > 0.5
    assert read_sound(first + rest) == Sound("wav", Decimal("0.25"))
    assert stand_in.calls()[-1]["chunks_sent"] == 13


def test_sound_that_is_cut_in_the_middle(stand_in: Caller) -> None:
    text = script("x", piece_bytes=100, cut_after=3)

    with pytest.raises(requests.exceptions.ChunkedEncodingError):
        stand_in.run(AURA, {"text": text})

    assert (stand_in.calls()[-1]["ended"], stand_in.calls()[-1]["chunks_sent"]) == ("fault", 3)


def test_sound_that_ends_early_or_in_half(stand_in: Caller) -> None:
    whole = stand_in.run(AURA, {"text": script("x", duration_s=1)}).content
    early = stand_in.run(AURA, {"text": script("x", duration_s=1, end_after=2, piece_bytes=100)})
    half = stand_in.run(AURA, {"text": script("x", duration_s=1, truncated_json=True)})

    assert early.content == whole[:200]
    assert half.content == whole[: len(whole) // 2]


def test_sound_that_stalls(stand_in: Caller) -> None:
    text = script("x", piece_bytes=100, stall_after=1)
    response = stand_in.run(AURA, {"text": text}, stream=True)
    next(response.iter_content(10))
    wait_until(lambda: stand_in.calls()[-1]["chunks_sent"] == 1)

    response.close()

    wait_until(lambda: stand_in.calls()[-1]["ended"] == "client_gone")


def test_wrong_content_type_and_json_in_place_of_sound(stand_in: Caller) -> None:
    odd = stand_in.run(AURA, {"text": script("x", content_type="text/plain")})
    as_json = stand_in.run(AURA, {"text": script("x", json={"audio": "none"})})

    assert odd.headers["Content-Type"] == "text/plain"
    assert odd.content.startswith(b"ID3")
    assert as_json.json()["result"] == {"audio": "none"}


# --- Turns -----------------------------------------------------------------------------------


def test_turn_is_complete_when_it_ends_in_silence(stand_in: Caller) -> None:
    noise = struct.pack("<h", 9_000) * 4_000 + struct.pack("<h", -9_000) * 4_000
    speaking = noise[8_000:] + noise[:8_002]

    silent = stand_in.result(TURN, {"audio": b64(wav(1)), "dtype": "uint8"})
    loud = stand_in.result(TURN, {"audio": b64(wav(1, samples=speaking)), "dtype": "uint8"})

    assert silent["is_complete"] is True
    assert loud["is_complete"] is False
    assert loud["probability"] < 0.5 < silent["probability"]


def test_turn_is_paid_by_the_minute_and_may_be_scripted(stand_in: Caller) -> None:
    # Bare samples: 64,000 bytes of 4 bytes each are 1 s.
    response = stand_in.run(TURN, {"audio": b64(bytes(64_000)), "dtype": "float32"})
    scripted = stand_in.run(TURN, {"audio": b64(with_script(wav(1), text="incomplete"))})
    broken = stand_in.run(TURN, {"audio": "?"})

    assert response.headers["cf-ai-neurons"] == "0.0085"
    assert scripted.json()["result"]["is_complete"] is False
    assert stand_in.error(broken)[:2] == (400, 5004)


# --- Files -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("encoding", "container", "rate"),
    [
        ("linear16", "wav", 48_000),
        ("mulaw", "wav", 8_000),
        ("alaw", "wav", 8_000),
        ("mp3", "none", 22_050),
        ("flac", "none", 48_000),
        ("opus", "ogg", 48_000),
        ("aac", "none", 22_050),
    ],
)
def test_file_is_as_long_as_it_was_made(encoding: str, container: str, rate: int) -> None:
    content, duration_s = make_sound(
        Decimal("3.7"), encoding=encoding, container=container, rate=rate
    )

    sound = read_sound(content)

    assert sound is not None
    assert sound.duration_s == duration_s
    assert Decimal("3.7") <= duration_s < Decimal("3.75")
    assert encoding == "aac" or b"sandbox stand-in" in content


def test_header_of_a_streamed_wav_is_not_believed() -> None:
    sound = bytearray(wav(1))
    at = sound.index(b"data") + 4
    sound[at : at + 4] = b"\xff\xff\xff\xff"

    assert read_sound(bytes(sound)) == Sound("wav", Decimal(1))


def test_recording_without_a_length_is_judged_by_its_size() -> None:
    sound = read_sound(b"\x1aE\xdf\xa3" + bytes(7_996))

    assert sound == Sound("webm", Decimal(2), is_estimate=True)


def test_words_of_an_odd_file_are_not_a_sound() -> None:
    assert read_sound(b"RIFF....AVI ") is None
    assert read_sound(b"") is None
    assert not re.search("sound", str(read_sound(b"{}")))
