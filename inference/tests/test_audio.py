"""Speech to text and text to speech, with the real `openai` package, and what it costs."""

import base64
import http.client
import json
import math
import struct
import time
from decimal import Decimal
from typing import Any
from urllib.parse import urlsplit

import openai
import pytest
import requests

from billing.admission.services import books
from inference.tests.settled import USD, nusd, say, settled_record, settled_records, wait_for

MARKUP = Decimal("1.2")
UNSUPPORTED = "unsupported_parameter"
HEARERS = pytest.mark.parametrize("model", ["whisper", "whisper-large-v3-turbo", "nova-3"])
SPEAKERS = pytest.mark.parametrize("model", ["aura-1", "aura-2-en", "aura-2-es"])


@pytest.fixture
def cast(gateway: Any) -> Any:
    return gateway.cast()


@pytest.fixture
def client(gateway: Any, cast: Any) -> openai.OpenAI:
    return openai.OpenAI(base_url=gateway.base_url, api_key=cast.key, max_retries=0)


def wav(seconds: float = 2.0, **directive: Any) -> bytes:
    """16-bit mono silence, with a directive for the stand-in behind it."""
    raw = bytes(2 * round(seconds * 8_000))
    head = struct.pack("<HHIIHH", 1, 1, 8_000, 16_000, 2, 16)
    body = b"fmt " + struct.pack("<I", 16) + head + b"data" + struct.pack("<I", len(raw)) + raw
    sound = b"RIFF" + struct.pack("<I", 4 + len(body)) + b"WAVE" + body
    return sound + (say(**directive).encode() if directive else b"")


def hear(gateway: Any, cast: Any, sound: bytes | None, path: str = "", **fields: Any) -> Any:
    return requests.post(
        f"{gateway.base_url}/audio/{path or 'transcriptions'}",
        data=fields,
        files=[("file", ("a.wav", sound, "audio/wav"))] if sound is not None else [("x", b"")],
        headers=cast.auth,
        timeout=30,
    )


def assert_charged_by_neurons(cast: Any, response: Any = None) -> Any:
    record = settled_record(cast)
    assert record.neurons is not None
    assert record.cost_nusd == math.ceil(record.neurons * 11_000 * MARKUP)
    assert record.provider_cost_nusd == math.ceil(record.neurons * 11_000)
    assert 0 < record.cost_nusd <= record.estimated_nusd
    assert record.status == "completed"
    if response is not None:
        assert record.cost_nusd == nusd(response.headers["X-Request-Cost"])
    return record


def assert_charged_nothing(cast: Any, status: str) -> Any:
    record = settled_record(cast)
    assert (record.cost_nusd, record.status) == (0, status)
    assert books(cast.tenant).available == 25 * USD
    return record


def error_of(response: Any) -> dict[str, Any]:
    error: dict[str, Any] = response.json()["error"]
    assert set(error) == {"message", "type", "param", "code"}
    return error


# --- transcriptions -----------------------------------------------------------------


@HEARERS
@pytest.mark.billing_row("a transcription or translation is completed")
def test_a_transcription(cast: Any, client: openai.OpenAI, model: str) -> None:
    raw = client.audio.transcriptions.with_raw_response.create(
        model=model, file=("hello.wav", wav(text="Hello there. Bye."))
    )
    transcription = raw.parse()

    assert transcription.text == "Hello there. Bye."
    assert transcription.usage is not None
    assert transcription.usage.type == "duration"
    assert transcription.usage.seconds == 2
    record = assert_charged_by_neurons(cast, raw)
    assert record.endpoint == "audio/transcriptions"
    assert record.ai_model == model
    minutes = Decimal(record.quantities["audio_minute"])
    assert abs(minutes * 60 - 2) < Decimal("0.000001")
    assert record.truth == "provider"


@HEARERS
def test_verbose_json(client: openai.OpenAI, model: str) -> None:
    verbose = client.audio.transcriptions.create(
        model=model,
        file=("hello.wav", wav(text="Hello there. Bye.")),
        response_format="verbose_json",
        timestamp_granularities=["word", "segment"],
    )

    assert verbose.text == "Hello there. Bye."
    assert verbose.duration == 2
    assert verbose.language in ("english", "unknown")
    assert verbose.words is not None
    assert [word.word for word in verbose.words] == ["Hello", "there.", "Bye."]
    assert verbose.segments is not None
    assert [segment.text for segment in verbose.segments] == ["Hello there.", "Bye."]
    assert [segment.id for segment in verbose.segments] == [0, 1]
    for segment in verbose.segments:
        openai.types.audio.TranscriptionSegment.model_validate(segment.model_dump(), strict=True)


@HEARERS
def test_text_and_subtitles(gateway: Any, cast: Any, model: str) -> None:
    def answer(response_format: str) -> str:
        sound = wav(text="Hello there. Bye.")
        response = hear(gateway, cast, sound, model=model, response_format=response_format)
        assert response.headers["content-type"] == "text/plain; charset=utf-8"
        assert Decimal(response.headers["X-Request-Cost"]) > 0
        return str(response.text)

    assert answer("text") == "Hello there. Bye.\n"
    srt = answer("srt")
    assert srt.startswith("1\n00:00:00,000 --> 00:00:01,")
    assert "\n\n2\n00:00:01," in srt
    assert answer("vtt").startswith("WEBVTT\n\n00:00:00.000 --> 00:00:01.")


def test_a_streamed_transcription(cast: Any, client: openai.OpenAI) -> None:
    events = list(
        client.audio.transcriptions.create(
            model="whisper-large-v3-turbo",
            file=("hello.wav", wav(text="Hello there. Bye.")),
            stream=True,
        )
    )

    deltas = [event.delta for event in events if event.type == "transcript.text.delta"]
    assert deltas == ["Hello there.", " Bye."]
    assert events[-1].type == "transcript.text.done"
    assert events[-1].text == "Hello there. Bye."
    assert events[-1].model_extra["seconds"] == 2
    record = assert_charged_by_neurons(cast)
    assert record.is_stream


def test_what_is_wished_reaches_the_model(gateway: Any, cast: Any, client: openai.OpenAI) -> None:
    # Short: the stand-in keeps the beginning of a body.
    marker = cast.code
    client.audio.transcriptions.create(
        model="whisper-large-v3-turbo",
        file=("hello.wav", wav(0.3, text="Hola.")),
        language="es",
        prompt=f"About {marker}",
        chunking_strategy={"type": "server_vad"},
        temperature=0,
    )
    (call,) = gateway.upstream_calls(marker)
    assert call["model"] == "@cf/openai/whisper-large-v3-turbo"
    assert call["audio_s"] == "0.3"
    sent = {name: value for name, value in call["body"].items() if name != "audio"}
    assert sent == {
        "task": "transcribe",
        "language": "es",
        "initial_prompt": f"About {marker}",
        "vad_filter": True,
    }

    client.audio.transcriptions.create(
        model="nova-3", file=("hello.wav", wav(0.3, text=f"Hallo {marker}2.")), language="de"
    )
    nova = [call for call in gateway.upstream_calls(f"{marker}2") if "nova-3" in call["path"]]
    assert len(nova) == 1
    assert nova[0]["headers"]["Content-Type"] == "audio/wav"


@HEARERS
def test_hints_are_accepted_whether_the_model_has_use_for_them_or_not(
    gateway: Any, cast: Any, model: str
) -> None:
    hints = {"language": "de", "prompt": "Names: Ana", "temperature": "0.2"}
    response = hear(gateway, cast, wav(0.3, text="Hallo Ana."), model=model, **hints)

    assert response.status_code == 200, response.text
    assert response.json()["text"] == "Hallo Ana."


@SPEAKERS
def test_instructions_of_how_to_speak_are_accepted(gateway: Any, cast: Any, model: str) -> None:
    body = {"model": model, "input": "Hello.", "voice": "alloy", "instructions": "Whisper."}
    response = gateway.post(cast, "audio/speech", body)

    assert response.status_code == 200, response.text
    assert response.content


@pytest.mark.billing_row("a transcription or translation is completed")
def test_a_translation(cast: Any, client: openai.OpenAI) -> None:
    verbose = client.audio.translations.create(
        model="whisper-large-v3-turbo",
        file=("hola.wav", wav(text="Hello.")),
        response_format="verbose_json",
    )

    assert (verbose.text, verbose.language, verbose.duration) == ("Hello.", "english", 2)
    record = assert_charged_by_neurons(cast)
    assert record.endpoint == "audio/translations"


def test_without_neurons_the_published_rate_is_charged(gateway: Any, cast: Any) -> None:
    sound = wav(3.7, text="Hello there.", usage={"neurons": None})
    response = hear(gateway, cast, sound, model="whisper-large-v3-turbo")

    record = settled_record(cast)
    assert record.neurons is None
    exact = Decimal("3.7") / 60 * Decimal("46.63") * 11_000 * MARKUP
    assert record.cost_nusd == math.ceil(exact) == nusd(response.headers["X-Request-Cost"])


@pytest.mark.parametrize(
    ("fields", "status", "param", "code"),
    [
        ({}, 400, "model", "missing_required_parameter"),
        ({"model": "nobody"}, 404, "model", "model_not_found"),
        ({"model": "aura-1"}, 404, "model", "model_not_supported"),
        ({"model": "nova-3", "language": "zz"}, 400, "language", "invalid_language_format"),
        ({"model": "nova-3", "temperature": "2"}, 400, "temperature", "integer_above_max_value"),
        ({"model": "nova-3", "response_format": "pdf"}, 400, "response_format", "invalid_value"),
        ({"model": "nova-3", "include[]": "logprobs"}, 400, "include", "unsupported_parameter"),
        ({"model": "nova-3", "keywords[]": "A"}, 400, "keywords", "unsupported_parameter"),
        ({"model": "nova-3", "sing": "1"}, 400, "sing", "unknown_parameter"),
    ],
)  # fmt: skip
def test_refusals_cost_nothing_and_call_nobody(
    gateway: Any, cast: Any, fields: dict[str, str], status: int, param: str, code: str
) -> None:
    response = hear(gateway, cast, wav(0.3, text=cast.code), **fields)

    assert response.status_code == status
    error = error_of(response)
    assert (error["param"], error["code"]) == (param, code)
    assert gateway.upstream_calls(cast.code) == []
    assert books(cast.tenant).available == 25 * USD


def test_files_that_are_none(gateway: Any, cast: Any) -> None:
    for sound in (None, b"", b"text, no sound"):
        response = hear(gateway, cast, sound, model="whisper")
        assert response.status_code == 400
        if sound is not None:
            assert error_of(response)["param"] == "file"
    missing = requests.post(
        f"{gateway.base_url}/audio/transcriptions",
        files={"model": (None, "whisper")},
        headers=cast.auth,
        timeout=30,
    )
    assert (missing.status_code, error_of(missing)["param"]) == (400, "file")
    no_form = gateway.post(cast, "audio/transcriptions", {"model": "whisper"})
    assert no_form.status_code == 415
    too_large = hear(gateway, cast, wav() + bytes(26 * 1024 * 1024), model="whisper")
    assert too_large.status_code == 413
    assert error_of(too_large)["code"] == "request_too_large"


def test_only_some_can_translate(gateway: Any, cast: Any) -> None:
    for model in ("whisper", "nova-3"):
        response = hear(gateway, cast, wav(), "translations", model=model)
        assert response.status_code == 400
        assert "whisper-large-v3-turbo" in error_of(response)["message"]


@pytest.mark.billing_row("it failed, or the provider refused the file")
def test_a_model_that_cannot_read_the_file_costs_nothing(gateway: Any, cast: Any) -> None:
    error = {"status": 400, "code": 8001, "message": "AiError: Invalid input"}
    response = hear(gateway, cast, wav(error=error), model="whisper")

    assert response.status_code == 400
    assert error_of(response)["message"] == "Invalid input"
    assert_charged_nothing(cast, "upstream_failed")


def test_an_answer_without_a_transcript_is_asked_for_again(gateway: Any, cast: Any) -> None:
    response = hear(gateway, cast, wav(json={"nothing": 1}), model="whisper")

    assert response.status_code == 502
    record = assert_charged_nothing(cast, "upstream_failed")
    assert record.attempts > 1


def test_a_repeat_with_its_key_is_not_charged_again(gateway: Any, cast: Any) -> None:
    def once() -> Any:
        return requests.post(
            f"{gateway.base_url}/audio/transcriptions",
            data={"model": "whisper"},
            files={"file": ("a.wav", wav(text="Hello."), "audio/wav")},
            headers={**cast.auth, "Idempotency-Key": "k1"},
            timeout=30,
        )

    first, second = once(), once()
    assert first.status_code == 200
    assert second.headers["Idempotent-Replayed"] == "true"
    assert first.content == second.content
    settled_record(cast)


# --- credit -------------------------------------------------------------------------


def test_too_little_credit_is_refused_and_nobody_is_called(gateway: Any) -> None:
    poor = gateway.cast(credit_nusd=1_000, name="poor")

    heard = hear(gateway, poor, wav(0.9, text=poor.code), model="nova-3")
    spoken = gateway.post(
        poor, "audio/speech", {"model": "aura-2-en", "input": poor.code * 9, "voice": "alloy"}
    )
    for response in (heard, spoken):
        assert response.status_code == 429
        assert error_of(response)["code"] == "insufficient_quota"
        assert response.headers["x-should-retry"] == "false"
    assert gateway.upstream_calls(poor.code) == []
    assert books(poor.tenant).available == 1_000


def test_another_tenant_pays_and_sees_nothing(gateway: Any, cast: Any) -> None:
    other = gateway.cast(name="globex")
    response = requests.post(
        f"{gateway.base_url}/audio/transcriptions",
        data={"model": "whisper"},
        files={"file": ("a.wav", wav(text="Hello."), "audio/wav")},
        headers={**cast.auth, "Idempotency-Key": "mine"},
        timeout=30,
    )
    again = requests.post(
        f"{gateway.base_url}/audio/transcriptions",
        data={"model": "whisper"},
        files={"file": ("a.wav", wav(text="Another."), "audio/wav")},
        headers={**other.auth, "Idempotency-Key": "mine"},
        timeout=30,
    )

    assert response.json()["text"] == "Hello."
    assert again.json()["text"] == "Another."
    assert len(settled_records(cast)) == len(settled_records(other)) == 1


# --- speech -------------------------------------------------------------------------

MAGIC = {
    "mp3": (b"ID3", "audio/mpeg"),
    "opus": (b"OggS", "audio/ogg"),
    "aac": (b"\xff\xf1", "audio/aac"),
    "flac": (b"fLaC", "audio/flac"),
    "wav": (b"RIFF", "audio/wav"),
    "pcm": (b"", "audio/pcm"),
}


def speech(text: str, **params: Any) -> dict[str, Any]:
    return {"model": "aura-2-en", "input": text, "voice": "alloy", **params}


@pytest.mark.parametrize("audio_format", MAGIC)
def test_speech_in_every_format(cast: Any, client: openai.OpenAI, audio_format: Any) -> None:
    spoken = client.audio.speech.create(
        model="aura-2-en", voice="alloy", input="Hello there.", response_format=audio_format
    )

    magic, content_type = MAGIC[audio_format]
    assert spoken.content.startswith(magic)
    assert spoken.response.headers["content-type"] == content_type
    assert spoken.response.headers.get("transfer-encoding") == "chunked"
    record = assert_charged_by_neurons(cast)
    assert record.quantities == {"characters": "12"}
    assert record.cost_nusd == math.ceil(12 * Decimal("2.72727") * 11_000 * MARKUP)
    assert record.estimated_nusd == record.cost_nusd


@SPEAKERS
@pytest.mark.billing_row("speech is completed")
def test_speech_is_charged_by_its_characters(gateway: Any, cast: Any, model: str) -> None:
    text = "Grüße, 世界! "
    response = gateway.post(cast, "audio/speech", speech(text, model=model))

    assert response.status_code == 200
    assert Decimal(response.headers["X-Estimated-Cost"]) > 0
    record = assert_charged_by_neurons(cast)
    assert record.quantities == {"characters": str(len(text))}
    assert (record.endpoint, record.ai_model) == ("audio/speech", model)
    assert record.first_token_ms is not None


def test_without_neurons_the_characters_are_charged(gateway: Any, cast: Any) -> None:
    text = say(no_usage=True) + "Hello"
    assert gateway.post(cast, "audio/speech", speech(text)).status_code == 200

    record = settled_record(cast)
    assert record.neurons is None
    assert record.cost_nusd == math.ceil(len(text) * Decimal("2.72727") * 11_000 * MARKUP)


def test_speech_arrives_as_it_is_made(gateway: Any, cast: Any) -> None:
    text = say(duration_s=1, piece_bytes=500, chunk_ms=150)
    with gateway.post(cast, "audio/speech", speech(text), stream=True) as response:
        started = time.monotonic()
        pieces = list(response.raw.stream(100_000))
    assert len(pieces) >= 4
    assert time.monotonic() - started > 0.4
    assert b"".join(pieces).startswith(b"ID3")


def test_speech_as_events(gateway: Any, cast: Any) -> None:
    text = say(duration_s=1, piece_bytes=1_000)
    plain = gateway.post(cast, "audio/speech", speech(text))
    events = gateway.post(cast, "audio/speech", speech(text, stream_format="sse"))

    assert events.headers["content-type"] == "text/event-stream; charset=utf-8"
    lines = [json.loads(line[6:]) for line in events.text.split("\n\n") if line]
    assert {line["type"] for line in lines[:-1]} == {"speech.audio.delta"}
    assert b"".join(base64.b64decode(line["audio"]) for line in lines[:-1]) == plain.content
    assert lines[-1]["type"] == "speech.audio.done"
    usage = lines[-1]["usage"]
    assert usage["total_tokens"] == usage["input_tokens"] + usage["output_tokens"]
    assert nusd(usage["request_cost"]) == settled_records(cast, 2)[0].cost_nusd


@pytest.mark.billing_row("speech is completed")
def test_melotts_is_charged_by_its_sound(gateway: Any, cast: Any, client: openai.OpenAI) -> None:
    spoken = client.audio.speech.create(
        model="melotts", voice="fr", input=say(duration_s=3, usage={"neurons": None})
    )

    assert spoken.content.startswith(b"ID3")
    assert spoken.response.headers["content-type"] == "audio/mpeg"
    record = settled_record(cast)
    minutes = Decimal(record.quantities["audio_minute"])
    # Whole frames of 26 ms.
    assert 0 <= minutes * 60 - 3 < Decimal("0.03")
    assert record.cost_nusd == math.ceil(minutes * Decimal("18.63") * 11_000 * MARKUP)
    assert record.cost_nusd < record.estimated_nusd


def test_melotts_by_neurons(gateway: Any, cast: Any) -> None:
    response = gateway.post(cast, "audio/speech", speech("Hello there.", model="melotts"))

    assert response.status_code == 200
    assert_charged_by_neurons(cast)
    events = gateway.post(
        cast, "audio/speech", speech("Hello there.", model="melotts", stream_format="sse")
    )
    assert events.text.count("speech.audio.delta") == 1


def test_melotts_that_makes_another_format_than_asked_costs_nothing(
    gateway: Any, cast: Any
) -> None:
    body = speech("Hello there.", model="melotts", response_format="wav")
    response = gateway.post(cast, "audio/speech", body)

    assert response.status_code == 400
    assert error_of(response)["param"] == "response_format"
    assert assert_charged_nothing(cast, "upstream_failed").attempts == 1


@pytest.mark.parametrize(
    ("params", "param", "code"),
    [
        ({"voice": "nobody"}, "voice", "invalid_value"),
        ({"voice": 3}, "voice", "invalid_type"),
        ({"speed": 1.5}, "speed", "unsupported_parameter"),
        ({"response_format": "midi"}, "response_format", "invalid_value"),
        ({"model": "melotts", "response_format": "aac"}, "response_format", UNSUPPORTED),
        ({"input": ""}, "input", "empty_string"),
        ({"input": "x" * 4097}, "input", "string_above_max_length"),
        ({"model": "whisper"}, "model", "model_not_supported"),
        ({"sing": True}, "sing", "unknown_parameter"),
    ],
)  # fmt: skip
def test_speech_that_cannot_be(
    gateway: Any, cast: Any, params: dict[str, Any], param: str, code: str
) -> None:
    response = gateway.post(cast, "audio/speech", speech(cast.code, **params))

    assert response.status_code in (400, 404)
    error = error_of(response)
    assert (error["param"], error["code"]) == (param, code)
    assert gateway.upstream_calls(cast.code) == []
    assert books(cast.tenant).available == 25 * USD


# --- how speech ends ----------------------------------------------------------------

LONG = {"duration_s": 20, "piece_bytes": 4_000}


@pytest.mark.billing_row("the provider failed before the first piece")
def test_upstream_that_fails_before_the_first_piece_costs_nothing(gateway: Any, cast: Any) -> None:
    for number, directive in enumerate(
        ({"error": True}, {"cut_after": 0, **LONG}, {"html": True}, {"json": {"text": "no"}})
    ):
        response = gateway.post(cast, "audio/speech", speech(say(**directive)))
        assert response.status_code in (502, 503, 504), directive
        assert error_of(response)["code"].startswith("upstream_")
        records = settled_records(cast, number + 1)
        assert {(r.status, r.cost_nusd) for r in records} == {("upstream_failed", 0)}


def test_a_failure_that_passes_is_not_noticed(gateway: Any, cast: Any) -> None:
    text = say(error=True, error_times=1, id=cast.code)
    assert gateway.post(cast, "audio/speech", speech(text)).status_code == 200

    assert settled_record(cast).attempts == 2


@pytest.mark.billing_row("the provider broke off in the middle of speech")
def test_upstream_that_breaks_in_the_middle_costs_nothing_and_is_no_success(
    gateway: Any, cast: Any
) -> None:
    with gateway.post(
        cast, "audio/speech", speech(say(cut_after=2, **LONG)), stream=True
    ) as response:
        assert response.status_code == 200
        with pytest.raises(requests.exceptions.ChunkedEncodingError):
            _ = response.content

    record = assert_charged_nothing(cast, "upstream_broke")
    assert record.error_code == "upstream_error"


@pytest.mark.billing_row("the provider broke off in the middle of speech")
def test_events_that_break_off_end_in_an_error(gateway: Any, cast: Any) -> None:
    body = speech(say(cut_after=2, **LONG), stream_format="sse")
    response = gateway.post(cast, "audio/speech", body)

    last = json.loads(response.text.split("\n\n")[-2][6:])
    assert last["error"]["code"] == "upstream_error"
    assert "speech.audio.done" not in response.text
    assert_charged_nothing(cast, "upstream_broke")


def leave_after(gateway: Any, cast: Any, text: str, size: int) -> None:
    url = urlsplit(gateway.base_url)
    connection = http.client.HTTPConnection(str(url.hostname), url.port, timeout=20)
    connection.request(
        "POST",
        f"{url.path}/audio/speech",
        body=json.dumps(speech(text)),
        headers={**cast.auth, "Content-Type": "application/json"},
    )
    if size:
        assert len(connection.getresponse().read(size)) == size
    else:
        wait_for(lambda: gateway.upstream_calls(cast.code))
    if connection.sock is not None:
        connection.sock.close()
    connection.close()


@pytest.mark.billing_row("the client left after the first piece of speech")
def test_a_client_that_leaves_pays_for_its_text_and_stops_upstream(gateway: Any, cast: Any) -> None:
    text = say(stall_after=2, **LONG) + cast.code
    leave_after(gateway, cast, text, 4_000)

    record = settled_record(cast)
    assert record.status == "client_gone"
    assert record.quantities == {"characters": str(len(text))}
    assert record.cost_nusd == record.estimated_nusd
    call = wait_for(
        lambda: next((c for c in gateway.upstream_calls(cast.code) if c["ended"]), None)
    )
    assert call["ended"] == "client_gone"


@pytest.mark.billing_row("the client left before the first piece")
def test_a_client_that_leaves_before_the_first_piece_pays_nothing(gateway: Any, cast: Any) -> None:
    leave_after(gateway, cast, say(hang=True) + cast.code, 0)

    assert_charged_nothing(cast, "client_gone")


def test_speech_with_a_key_is_kept_for_its_repeat(gateway: Any, cast: Any) -> None:
    headers = {**cast.auth, "Idempotency-Key": "speech-1"}
    first, second = (
        requests.post(
            f"{gateway.base_url}/audio/speech",
            json=speech("Hello there."),
            headers=headers,
            timeout=30,
        )
        for _ in range(2)
    )
    assert first.content == second.content != b""
    assert second.headers["Idempotent-Replayed"] == "true"
    assert second.headers["content-type"] == "audio/mpeg"
    settled_record(cast)
